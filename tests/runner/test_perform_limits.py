import time

import pytest

import duly
from duly import perform
from tests.helpers import alive
from tests.runner import targets

MIB = 2**20


def timed(target, options=None, **limits):
    """Perform what never ends; return the seconds it took until it was over."""
    started = time.monotonic()
    with pytest.raises(duly.TaskTimedOut, match="timed out after"):
        perform(target, options, **limits)
    return time.monotonic() - started


# time


@pytest.mark.parametrize(
    "target",
    [
        targets.spin,
        targets.spin_in_c,
        targets.ignore_everything,
        targets.swallow,
        targets.stop_itself,
        targets.swallow_the_cancel,
        targets.block_the_loop,
    ],
)
def test_a_time_limit_holds_whatever_the_code_does(target):
    took = timed(target, timeout=0.2, grace=0.2)

    assert 0.2 <= took < 3


def test_a_limit_without_grace_kills_at_once():
    assert timed(targets.ignore_everything, timeout=0.2, grace=0) < 3


def test_what_ends_in_time_is_not_stopped():
    assert perform(targets.echo, 1, timeout=60) == (True, 1)


def test_an_import_that_never_ends_is_stopped_too(tmp_path):
    (tmp_path / "endless.py").write_text("import threading\nthreading.Event().wait()\ndef task(options): pass\n")

    assert timed(str(tmp_path / "endless.py"), timeout=0.2, grace=0.2) < 3


@pytest.mark.parametrize("target", [targets.clean_up, targets.async_clean_up])
def test_code_that_is_asked_may_clean_up(target, tmp_path):
    path = tmp_path / "said"

    timed(target, str(path), timeout=1.0, grace=30)

    assert path.read_text() == "cleaned up\n"


def test_code_that_misses_being_asked_is_terminated_after_half_the_grace(tmp_path):
    path = tmp_path / "said"

    took = timed(targets.terminated, str(path), timeout=0.2, grace=1.0)

    assert path.read_text() == "terminated\n"
    assert took >= 0.2 + 0.5


def test_an_answer_after_the_limit_does_not_count():
    assert timed(targets.answer_late, timeout=0.2, grace=30) < 10


def test_the_limit_counts_from_the_beginning_of_the_code_not_of_the_process():
    took = timed(targets.linger, "x", timeout=0.3, grace=10)

    assert took >= 0.3


@pytest.mark.parametrize("given", ["1s", 1, 1.0])
def test_a_limit_is_given_in_seconds_or_text(given):
    assert perform(targets.echo, 1, timeout=given, grace="1s", memory="512MiB").ok


@pytest.mark.parametrize(
    "limits",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "soon"},
        {"grace": -1},
        {"memory": "much"},
        {"memory": -1},
        {"memory": 0},
    ],
)
def test_a_bad_limit_is_refused(limits):
    with pytest.raises(duly.OptionInvalid):
        perform(targets.echo, 1, **limits)


# memory


def test_a_memory_limit_holds_and_the_peak_is_told():
    with pytest.raises(duly.OutOfMemory, match=r"ran out of memory \(limit 64 MiB, peak") as caught:
        perform(targets.eat, 4_000 * MIB, memory="64MiB", timeout=60)

    assert caught.value.cause == "memory"
    assert 64 * MIB < caught.value.peak < 1_000 * MIB


def test_the_memory_of_children_counts():
    with pytest.raises(duly.OutOfMemory):
        perform(targets.eat_in_a_child, 200 * MIB, memory="64MiB", timeout=60)


@pytest.mark.parametrize("target", [targets.allocate, targets.allocate_and_keep])
def test_a_greedy_allocation_is_refused_before_it_is_used(target):
    with pytest.raises(duly.OutOfMemory) as caught:
        perform(target, 3_000 * MIB, memory="64MiB", timeout=60)

    assert caught.value.peak < 60 * MIB


def test_many_small_allocations_come_to_the_limit_as_well():
    with pytest.raises(duly.OutOfMemory):
        perform(targets.allocate_and_keep, 1_000, memory="64MiB", timeout=60)


def test_a_memory_error_without_a_limit_is_the_same_end():
    with pytest.raises(duly.OutOfMemory, match="ran out of memory"):
        perform(targets.raise_named, "memory")


def test_what_the_process_itself_needs_does_not_count():
    assert perform(targets.text_of, 1000, memory="8MiB").ok


def test_a_function_that_lowers_its_own_limit_for_good_still_answers():
    assert perform(targets.lower_the_memory_limit, memory="300MiB").value == "answered"


# what it starts


@pytest.mark.parametrize(
    ("target", "end"),
    [
        (targets.leave_children, None),
        (targets.leave_children_and_die, duly.TaskDied),
        (targets.leave_children_and_spin, duly.TaskTimedOut),
        (targets.kill_the_zygote, duly.TaskDied),
    ],
)
def test_what_it_started_is_gone_with_it(target, end, tmp_path):
    path = tmp_path / "pids"
    path.touch()

    if end is None:
        assert perform(target, str(path), timeout=30).ok
    else:
        with pytest.raises(end):
            perform(target, str(path), timeout=1.5, grace=0)

    pids = [int(line) for line in path.read_text().split()]
    assert len(pids) == (0 if target is targets.kill_the_zygote else 4)
    assert not any(map(alive, pids))


def test_a_whole_tree_of_sessions_is_gone_with_it(tmp_path):
    path = tmp_path / "pids"

    with pytest.raises(duly.TaskTimedOut):
        perform(targets.breed, str(path), timeout=2, grace=0)

    pids = [int(line) for line in path.read_text().split()]
    assert len(pids) > 100
    assert not any(map(alive, pids))


def test_a_process_that_runs_away_from_its_own_id_is_caught(tmp_path):
    path = tmp_path / "pid"

    with pytest.raises(duly.TaskTimedOut):
        perform(targets.run_away, str(path), timeout=1, grace=0)

    last = path.read_text()
    assert not alive(int(last or 0))
    assert path.read_text() == last


def test_a_zygote_that_is_stopped_keeps_nobody_waiting():
    started = time.monotonic()

    with pytest.raises(duly.TaskTimedOut):
        perform(targets.stop_the_zygote, timeout=0.2, grace=0)

    assert time.monotonic() - started < 10
