import math
import os
import re
import signal

import pytest

import duly
from duly import perform
from tests.helpers import alive
from tests.runner import late, targets


def failure_of(*args, **kwargs):
    with pytest.raises(duly.TaskFailed) as caught:
        perform(*args, **kwargs)
    return caught.value


# outcomes


@pytest.mark.parametrize(
    ("name", "ok", "value"),
    [
        ("none", True, None),
        ("true", True, None),
        ("false", False, None),
        ("success", True, {"kept": 1}),
        ("success-false", True, False),
        ("failure", False, "no"),
    ],
)
def test_what_is_returned_is_the_outcome(name, ok, value):
    performed = perform(targets.answer, name)

    assert performed == (ok, value)
    assert performed.ok is ok
    assert performed.value == value


def test_an_async_function_is_awaited():
    assert perform(targets.async_echo, {"a": 1}) == (True, {"a": 1})


def test_the_function_gets_a_copy_of_the_options():
    options = {"numbers": [1, 2.5, None, True], "text": "é\u2028\x00"}

    assert perform(targets.echo, options).value == options


def test_without_options_it_gets_none():
    assert perform(targets.echo) == (True, None)


def test_a_builtin_is_a_target_as_well():
    assert perform(abs, -1) == (True, 1)


@pytest.mark.parametrize("size", [60_000, 70_000, 30_000_000])
def test_large_options_and_values_come_through_whole(size):
    text = "x" * size

    assert perform(targets.echo, text).value == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", r"nan is not a JSON number at \$\[0\]"),
        ("surrogate", "lone surrogate"),
        ("deep", "deeper than 64"),
        ("object", "an object is not a JSON value"),
    ],
)
def test_a_result_that_is_not_json_fails_and_says_why(name, said):
    error = failure_of(targets.answer, name)

    assert error.cause == "invalid"
    assert error.error.type == "PayloadInvalid"
    assert re.match(f"PayloadInvalid: the result: .*{said}", str(error))


@pytest.mark.parametrize("target", [targets.a_generator, targets.an_async_generator])
def test_a_generator_is_no_result(target):
    assert "generator is not a JSON value" in str(failure_of(target))


def test_a_performed_callable_cannot_ask_to_come_back_later():
    assert "Snooze" in str(failure_of(targets.answer, "snooze"))


@pytest.mark.parametrize("options", [object(), {1, 2}, {1: 2}, math.nan, "\ud800", targets.nested(100)])
def test_options_that_are_not_json_are_refused_before_anything_starts(options):
    with pytest.raises(duly.PayloadInvalid):
        perform(targets.echo, options)


# errors


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("keyboard", "KeyboardInterrupt", "pressed"),
        ("generator", "GeneratorExit", "closed"),
        ("base", "tests.runner.targets.OwnBase", "own"),
        ("stopped", "duly.errors.TaskStopped", "cancel"),
        ("cancelled", "asyncio.exceptions.CancelledError", "by itself"),
        ("target", "duly.errors.TargetNotFound", "mine too"),
        ("unspeakable", "tests.runner.targets.Unspeakable", "<its text cannot be had>"),
        ("big-number", "tests.runner.targets.Coded", "big"),
    ],
)
def test_whatever_is_raised_comes_back_as_data(name, kind, message):
    error = failure_of(targets.raise_named, name)

    assert (error.error.type, error.error.message) == (kind, message)


def test_an_error_is_told_with_its_type_its_text_and_the_users_lines_alone():
    error = failure_of(targets.raise_value_error, "mine")

    assert str(error) == "ValueError: mine"
    assert (error.code, error.cause, error.task_id, error.attempts) == ("failed", "error", None, 1)
    assert error.error.traceback.count("File ") == 1
    assert f'File "{targets.__file__}"' in error.error.traceback
    assert "raise ValueError(options)" in error.__notes__[0]


@pytest.mark.parametrize(
    ("target", "frames"),
    [
        (targets.raise_after_an_await, 1),
        (targets.raise_in_a_thread, 1),
        (targets.raise_in_a_callback, 1),
        (targets.raise_while_handling, 2),
    ],
)
def test_no_line_of_the_machinery_is_shown(target, frames):
    shown = failure_of(target, "text").error.traceback

    assert shown.count("File ") == shown.count(targets.__file__) == frames


def test_a_cause_and_its_notes_are_told():
    shown = failure_of(targets.raise_with_cause).error.traceback

    assert "KeyError: 'missing'" in shown
    assert "direct cause" in shown
    assert "a note beside it" in shown


def test_each_error_of_a_group_is_told():
    shown = failure_of(targets.raise_group).error.traceback

    assert "ValueError: first" in shown
    assert "TypeError: second" in shown


def test_endless_recursion_is_an_error_like_any_other():
    assert failure_of(targets.recurse).error.type == "RecursionError"


def test_the_exceptions_own_code_and_attributes_come_along():
    error = failure_of(targets.raise_named, "coded").error

    assert error.code == "E42"
    assert error.data == {"status": 503, "answers": [1, 2]}


@pytest.mark.parametrize(
    "target",
    [targets.raise_in_a_thread, targets.raise_in_a_late_thread, targets.raise_in_a_callback, late.raise_in_a_callback],
)
def test_an_error_that_nobody_catches_in_a_thread_or_callback_fails_it(target):
    assert str(failure_of(target, "in a thread")).startswith("ValueError: in a")


def test_a_thread_may_exit():
    assert perform(targets.exit_in_a_thread).value == "went on"


# the end of the process


@pytest.mark.parametrize(
    ("target", "option", "exit_code"),
    [
        (targets.leave, 3, 3),
        (targets.leave, 0, 0),
        (targets.leave, None, 0),
        (targets.leave, "bye", 1),
        (targets.leave_at_once, 0, 0),
        (targets.leave_at_once, 7, 7),
        (targets.become_another_program, None, 0),
    ],
)
def test_a_process_that_leaves_without_an_answer_has_died(target, option, exit_code):
    with pytest.raises(duly.TaskDied, match=f"process unexpectedly closed with status {exit_code}") as caught:
        perform(target, option)

    assert (caught.value.exit_code, caught.value.signal) == (exit_code, None)


@pytest.mark.parametrize(
    ("target", "option", "number"),
    [
        (targets.abort, None, signal.SIGABRT),
        (targets.crash, None, signal.SIGSEGV),
        (targets.kill_itself, 9, signal.SIGKILL),
        (targets.kill_itself, 15, signal.SIGTERM),
    ],
)
def test_a_process_that_a_signal_ends_has_died_of_it(target, option, number):
    with pytest.raises(duly.TaskDied, match=f"unexpectedly closed with status {number.name}") as caught:
        perform(target, option)

    assert (caught.value.exit_code, caught.value.signal) == (None, number)


def test_a_fork_that_comes_back_from_the_function_does_not_answer_for_it():
    assert perform(targets.return_twice).value == "the parent's"
    assert perform(targets.raise_in_a_fork).value == "the parent's"


# threads


def test_the_answer_waits_for_threads_that_keep_a_program_alive(tmp_path):
    path = tmp_path / "written"

    assert perform(targets.thread_that_writes_late, str(path)).value == "answered"

    assert path.read_text() == "written\n"


def test_a_daemon_thread_keeps_nobody_waiting():
    assert perform(targets.daemon_thread_that_never_ends, timeout=30).value == "answered"


def test_a_pool_of_threads_that_was_left_open_keeps_nobody_waiting():
    assert perform(targets.executor_left_open, 5, timeout=30).value == 5


def test_a_thread_that_never_ends_runs_into_the_time_limit():
    with pytest.raises(duly.TaskTimedOut):
        perform(targets.thread_that_never_ends, timeout=0.2, grace=0.2)


# within each other


def test_one_may_perform_within_another():
    assert perform(targets.perform_within, 5).value == [True, 5]


def test_what_is_performed_within_goes_with_what_performs_it(tmp_path):
    path = tmp_path / "pids"

    with pytest.raises(duly.TaskTimedOut):
        perform(targets.perform_within_for_ever, str(path), timeout=1.5, grace=0)

    pids = [int(line) for line in path.read_text().split()]
    assert len(pids) == 4
    assert not any(map(alive, pids))


def test_it_runs_in_a_session_of_its_own():
    there = perform(targets.surroundings).value

    assert there["session"] == there["pid"] != os.getsid(0)
