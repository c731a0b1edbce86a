import signal
from dataclasses import dataclass
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.endings import ending_of, exception_of, megabytes, status
from duly.core.outcome import (
    Cancelled,
    Died,
    Dropped,
    Failure,
    Interrupted,
    Invalid,
    NoSuccess,
    OutOfMemory,
    Raised,
    Snoozed,
    TimedOut,
)
from duly.core.task import Cause, Ending
from duly.errors import (
    ErrorData,
    TaskCancelled,
    TaskDied,
    TaskError,
    TaskExpired,
    TaskFailed,
    TaskTimedOut,
)
from duly.errors import OutOfMemory as OutOfMemoryError

ERROR = ErrorData(type="app.Refused", message="no such user", traceback="Traceback: at app.py\n")
MIB = 2**20


@dataclass
class Case:
    outcome: NoSuccess
    kind: str
    raised: type[TaskError]
    text: str


CASES = [
    Case(Failure({"left": 3}), "failure", TaskFailed, "Task failed: it answered no ({'left': 3})"),
    Case(Failure(), "failure", TaskFailed, "Task failed: it answered no"),
    Case(Raised(ERROR), "error", TaskFailed, "app.Refused: no such user"),
    Case(Raised(ErrorData(type="ValueError", message="")), "error", TaskFailed, "ValueError"),
    Case(Invalid(ERROR), "invalid", TaskFailed, "app.Refused: no such user"),
    Case(TimedOut(1.5), "timeout", TaskTimedOut, "Task timed out after 1.5 s"),
    Case(OutOfMemory(), "memory", OutOfMemoryError, "Task ran out of memory"),
    Case(OutOfMemory(limit=64 * MIB), "memory", OutOfMemoryError, "Task ran out of memory (limit 64 MiB)"),
    Case(OutOfMemory(peak=70 * MIB), "memory", OutOfMemoryError, "Task ran out of memory (peak 70 MiB)"),
    Case(
        OutOfMemory(70 * MIB, 64 * MIB),
        "memory",
        OutOfMemoryError,
        "Task ran out of memory (limit 64 MiB, peak 70 MiB)",
    ),
    Case(Died(signal=9), "died", TaskDied, "Task process unexpectedly closed with status SIGKILL"),
    Case(Died(exit_code=0), "died", TaskDied, "Task process unexpectedly closed with status 0"),
    Case(Dropped(), "dropped", TaskFailed, "Task failed: dropped"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.outcome)[:40])
def test_each_outcome_has_its_exception_and_says_what_happened(case):
    ending = ending_of(case.outcome)
    assert ending.kind == case.kind
    error = exception_of(ending, ending.kind, task_id="id", attempts=3)
    assert type(error) is case.raised
    assert str(error) == case.text
    assert (error.cause, error.task_id, error.attempts) == (case.kind, "id", 3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case.outcome)[:40])
def test_an_ending_that_was_kept_gives_the_same_exception(case):
    ending = ending_of(case.outcome, output="said")
    kept = msgspec.json.decode(msgspec.json.encode(ending), type=Ending)
    assert kept == ending
    assert kept.output == "said"
    before, after = exception_of(ending, ending.kind), exception_of(kept, kept.kind)
    assert str(after) == str(before)
    assert vars(after) == vars(before)


def test_every_outcome_that_is_no_success_can_be_told():
    told = {type(case.outcome) for case in CASES}
    assert told | {Snoozed, Interrupted, Cancelled} == set(get_args(NoSuccess))
    assert [ending_of(outcome).kind for outcome in (Snoozed(1), Interrupted(), Cancelled())] == [
        "snoozed",
        "interrupted",
        "cancelled",
    ]


def test_what_the_exception_carries_is_what_the_user_made():
    failed = exception_of(ending_of(Failure([1])), "failure")
    assert failed.value == [1]
    raised = exception_of(ending_of(Raised(ERROR)), "error")
    assert raised.error == ERROR
    assert raised.__notes__ == ["in the task's own process:\nTraceback: at app.py"]
    died = exception_of(ending_of(Died(signal=11)), "died")
    assert (died.signal, died.exit_code) == (11, None)
    assert exception_of(ending_of(OutOfMemory(peak=7)), "memory").peak == 7


@pytest.mark.parametrize(("outcome", "raised"), [(Died(signal=9), TaskDied), (OutOfMemory(), OutOfMemoryError)])
def test_a_quarantined_task_raises_the_class_of_its_last_death(outcome, raised):
    error = exception_of(ending_of(outcome), "quarantined", attempts=3)
    assert type(error) is raised
    assert error.cause == "quarantined"
    assert str(error).startswith("Task was quarantined after its last attempt: ")


def test_a_node_that_was_lost_is_said_in_words():
    error = exception_of(Ending(kind="died", reason="its node was lost"), "died")
    assert (type(error), str(error)) == (TaskDied, "Task died: its node was lost")
    quarantined = exception_of(Ending(kind="died", reason="its node was lost"), "quarantined")
    assert str(quarantined) == "Task was quarantined after its last attempt: died: its node was lost"


def test_a_cancelled_task_says_why():
    error = exception_of(None, "cancel", reason="page closed", task_id="id", attempts=0)
    assert (type(error), str(error)) == (TaskCancelled, 'Task was cancelled due to: "page closed"')
    plain = exception_of(None, "cancel")
    assert (str(plain), plain.attempts) == ('Task was cancelled due to: "cancelled"', 1)
    assert type(exception_of(ending_of(Raised(ERROR)), "cancel")) is TaskCancelled, (
        "the end counts, not an attempt before"
    )


def test_an_expired_task_says_so():
    error = exception_of(None, "expired")
    assert (type(error), str(error)) == (TaskExpired, "Task expired before it began")


@pytest.mark.parametrize("cause", get_args(Cause))
def test_every_cause_is_an_exception_even_where_nothing_else_is_known(cause):
    error = exception_of(None, cause)
    assert isinstance(error, TaskError)
    assert (error.cause, error.error, error.value) == (cause, None, None)


@given(st.integers(1, 64))
def test_a_status_names_the_signal(number):
    named = status(Ending(kind="died", signal=number))
    known = {member.value: member.name for member in signal.Signals}
    assert named == known.get(number, f"signal {number}")


@given(st.integers(0, 255))
def test_a_status_names_the_exit_code(code):
    assert status(Ending(kind="died", exit_code=code)) == str(code)


def test_sizes_are_said_in_whole_mebibytes():
    assert [megabytes(size) for size in (0, 1.6 * MIB, 2_000 * MIB)] == ["0 MiB", "2 MiB", "2,000 MiB"]
