"""One attempt, from claim to change, as a line of small steps over one record.

`take` a claim → `work_of` it for a runner → it `began` → it `said` things → `outcome_of` its answer or of its process's
end → `change_of` that for the store. Each step is a function of the record and of what just happened.
"""

from __future__ import annotations

from typing import Any

import msgspec

from duly.core import lifecycle
from duly.core.action import Isolation, Policy
from duly.core.estimate import RunTime
from duly.core.outcome import (
    Cancelled,
    Died,
    Failure,
    Interrupted,
    Invalid,
    Outcome,
    OutOfMemory,
    Raised,
    Snoozed,
    Success,
    TimedOut,
)
from duly.core.passport import Options
from duly.core.stopping import Stopping
from duly.core.task import Change, EventEntry, Held
from duly.errors import ErrorData
from duly.ports import Submission
from duly.wire.runner import Done, Said, Work


class Attempt(msgspec.Struct, eq=False, gc=False):
    """What a node knows of one attempt. `weight` is the run time expected when it was handed over, in seconds.

    `handed_at` and `began_at` are seconds of the monotonic clock. `in_vain`: its task is another's by now, and nothing
    of it is to be told.
    """

    held: Held
    target: int
    policy: Policy
    time: RunTime
    isolation: Isolation = "process"
    handed_at: float = 0.0
    weight: float | None = None
    stopping: Stopping | None = None
    began_at: float | None = None
    started_at: int | None = None
    events: list[EventEntry] = []
    children: list[Submission] = []
    info: str | None = None
    output: bytes = b""
    in_vain: bool = False

    def __lt__(self, other: Attempt) -> bool:
        return (self.held.band, self.held.rank, self.held.id) < (other.held.band, other.held.rank, other.held.id)

    def __repr__(self) -> str:
        return f"<Attempt {self.held.attempt} of {self.held.id}>"

    def stop(self) -> Stopping:
        """What it may be stopped for."""
        if self.stopping is None:
            policy = self.policy
            self.stopping = Stopping(policy.timeout, policy.grace, policy.memory)
        return self.stopping


def policy_of(policy: Policy, options: str | None) -> Policy:
    """Return an action's policy with what a submitter said otherwise."""
    if options is None:
        return policy
    said = msgspec.json.decode(options, type=Options)
    if said.timeout is not msgspec.UNSET:
        policy = msgspec.structs.replace(policy, timeout=said.timeout)
    if said.max_attempts is not None:
        policy = msgspec.structs.replace(policy, max_attempts=said.max_attempts)
    return policy


def work_of(attempt: Attempt) -> Work:
    """What a runner needs to know."""
    held, policy = attempt.held, attempt.policy
    return Work(
        held.key,
        held.claim,
        attempt.target,
        held.id,
        held.attempt,
        held.payload,
        policy.timeout,
        policy.memory,
        held.submitted,
        held.origin,
        held.options,
        held.info,
    )


def began(attempt: Attempt, at: float, started_at: int) -> None:
    """Its code began: seconds of the monotonic clock, microseconds of the store's. Said again, it is told once."""
    if attempt.began_at is None:
        attempt.started_at = started_at
        attempt.events.append(("start", started_at, None))
    attempt.began_at = at
    attempt.stop().began(at)


def said(attempt: Attempt, message: Said, at: int) -> None:
    """It told something. Raises `msgspec.DecodeError` for what only code that got hold of the channel can say."""
    body = msgspec.json.decode(message.body, type=dict[str, Any])
    if message.kind == "info":
        attempt.info = message.body
        body = {message.name: body.get(message.name)}
    attempt.events.append((message.kind, at, body))


def outcome_of_answer(attempt: Attempt, done: Done, until: int) -> Outcome:
    """What an answer comes to, given why the attempt was asked to stop.

    `until` is when a snooze ends, by the store's clock.
    """
    decided = _decided(attempt) if attempt.stopping is not None else None
    if decided is not None:
        return decided
    match done.kind:
        case "success":
            return Success(done.value)
        case "failure":
            return _failure(done)
        case "snooze":
            return Snoozed(until)
        case "raised":
            return Raised(_error(done))
        case "memory":
            return OutOfMemory(done.peak, attempt.policy.memory)
        case "invalid":
            return Invalid(_error(done))
        case "missing":
            return Raised(_error(done))
        case "stopped":
            return _stopped(attempt)
        case "died":
            status = done.status or 0
            return outcome_of_end(attempt, -status if status < 0 else None, status if status >= 0 else None)
        case "refused":
            return Interrupted(f"no process could be started: {done.value}")


def outcome_of_end(attempt: Attempt, signal: int | None, exit_code: int | None) -> Outcome:
    """What it comes to that the process ended while running this attempt."""
    stopping = attempt.stopping
    if stopping is None or stopping.reason is None:
        return Died(signal, exit_code)
    return _decided(attempt) or _stopped(attempt)


def _decided(attempt: Attempt) -> Outcome | None:
    """A limit that was reached decides; what the code answers later does not count."""
    stopping = attempt.stopping
    if stopping is None:
        return None
    if stopping.reason == "timeout":
        return TimedOut(attempt.policy.timeout or 0.0)
    if stopping.reason == "memory":
        return OutOfMemory(stopping.peak, attempt.policy.memory)
    return None


def _stopped(attempt: Attempt) -> Outcome:
    if attempt.held.verdict is not None:
        return Cancelled()
    return Interrupted((attempt.stopping and attempt.stopping.reason) or "stopped")


def _failure(done: Done) -> Outcome:
    try:
        return Failure(msgspec.json.decode(done.value or "null"), done.retry)
    except msgspec.DecodeError as error:  # the user's code got hold of the channel
        return Invalid(ErrorData(type=type(error).__name__, message=f"the result: {error}"))


def _error(done: Done) -> ErrorData:
    return done.error or ErrorData(type="Error", message="")


def change_of(attempt: Attempt, outcome: Outcome, at: int, dice: float) -> Change:
    """What becomes of the task, with all that is not in the store yet."""
    events, started_at, info = _take_told(attempt)
    return lifecycle.finish(
        attempt.held,
        attempt.policy,
        outcome,
        at,
        dice,
        before=events,
        started_at=started_at,
        info=info,
        output=attempt.output.decode("utf-8", "replace") if attempt.output else "",
    )


def loss_of(attempt: Attempt, at: int, dice: float) -> Change:
    """What becomes of the task, now that its runner was lost with all others."""
    events, started_at, info = _take_told(attempt)
    return lifecycle.rescue(attempt.held, attempt.policy, at, dice, before=events, started_at=started_at, info=info)


def note_of(attempt: Attempt, *, cleared: bool = False) -> Change:
    """What it has told so far and the store does not have yet."""
    events, started_at, info = _take_told(attempt)
    return lifecycle.note(attempt.held, events, started_at=started_at, info=info, cleared=cleared)


def _take_told(attempt: Attempt) -> tuple[list[EventEntry], int | None, str | None]:
    """Take what it has told that is not in the store yet: events, when it began, its runtime info."""
    told = attempt.events, attempt.started_at, attempt.info
    attempt.events, attempt.started_at, attempt.info = [], None, None
    return told
