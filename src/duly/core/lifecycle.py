"""The one place that decides what becomes of a task.

Two kinds of deciders write state. A *holder* of a claim says what its attempt came to: `note`, `finish`, `hand_back`;
and whoever finds a node dead speaks for it: `rescue`. Each gives a `Change`, a compare-and-swap on the claim.
*Anybody* may submit, cancel and retry: `admit`, `CANCEL`, `retry`. `docs/lifecycle.md` shows the table as it follows
from this code.

Times are microseconds of the store's clock; `dice` is uniform in [0, 1).
"""

# long module: all that decides a state stands in one place

from __future__ import annotations

from typing import Any, NamedTuple, assert_never

import msgspec

from duly.core.action import Policy
from duly.core.endings import ending_of
from duly.core.order import Place, band_of, lowered, rank_terms
from duly.core.outcome import (
    Cancelled,
    Died,
    Dropped,
    Failure,
    Interrupted,
    Invalid,
    NoSuccess,
    Outcome,
    OutOfMemory,
    Raised,
    Snoozed,
    Success,
    TimedOut,
)
from duly.core.passport import Options
from duly.core.task import (
    ENDED,
    WAITING,
    Cause,
    Change,
    Ending,
    EventEntry,
    Guard,
    Held,
    Release,
    State,
    Suspicion,
    shown,
)

_SUCCEEDED, _UNGUARDED = State.SUCCEEDED, Guard.NONE  # to look up an enum's member takes as long as a call

MOST_DEATHS = 3
"""A task whose process died or ran out of memory this often is quarantined."""

MOST_CLEANUPS = 3
"""Attempts of one piece of cleanup, before its failure is recorded and the next is begun."""

SUSPECT_LOSSES = 2
"""A task that was on this many lost nodes is a suspect, and watched alone from then on."""

CLEANUP_BACKOFF = 1_000_000
"""Microseconds between two attempts of the same cleanup."""

_encode = msgspec.json.encode


# anybody -----------------------------------------------------------------------------------------------------------


def admit(options: Options) -> State:
    """Return the state a task is stored in: with a date it waits for the next look at what is due."""
    return State.READY if options.run_at is None and options.delay is None else State.SCHEDULED


class Cancel(NamedTuple):
    """What a cancel does to a task found in `state` without a verdict, with or without cleanup owed."""

    state: State
    owed: bool
    to: State
    verdict: State | None
    answer: str
    event: str


CANCEL: tuple[Cancel, ...] = (
    *(Cancel(state, False, State.CANCELLED, None, "cancelled", "cancel") for state in WAITING),
    *(Cancel(state, True, State.READY, State.CANCELLED, "asked", "verdict") for state in WAITING),
    *(Cancel(State.RUNNING, owed, State.RUNNING, State.CANCELLED, "asked", "verdict") for owed in (False, True)),
)
"""The whole rule, as rows that the store joins with: one statement, no decision in SQL."""


def cancelled_from(state: int, verdict: int | None, *, owed: bool) -> Cancel | None:
    """Return what a cancel does to a task found like this; None if it changes nothing."""
    if verdict is not None:
        return None
    return next((cancel for cancel in CANCEL if (cancel.state, cancel.owed) == (state, owed)), None)


class Standing(NamedTuple):
    """A task that is to be retried, as it is found."""

    key: int
    claim: int
    state: int
    verdict: int | None
    band: int
    rank: int
    options: str | None


def retry(found: Standing, at: int) -> Release | None:
    """Decide what a retry does to a task; None if it is refused. `at` is later than any task was submitted.

    What failed begins anew at the back of the band that was declared for it; what waits for its date is due now, and
    waits no longer in line than if it came now. Whoever waits for a place keeps waiting for it.
    """
    if found.state == State.FAILED:
        options = msgspec.json.decode(found.options or "{}", type=Options)
        return _release(found, State.READY, at, band=band_of(options.priority), rank=_back(at), anew=True)
    if found.verdict is not None or found.state not in (State.SCHEDULED, State.PARKED):
        return None
    to = State.READY if found.state == State.SCHEDULED else State.PARKED
    return _release(found, to, at, band=found.band, rank=min(found.rank, _back(at)), run_at=at)


def _release(
    found: Standing, to: State, at: int, *, run_at: int | None = None, anew: bool = False, **line: int
) -> Release:
    event: EventEntry = ("release", at, {"from": shown(found.state, None)})
    return Release(found.key, found.claim, found.state, to, run_at=run_at, anew=anew, events=[event], **line)


def _back(at: int) -> int:
    return rank_terms(Place.BACK).at(at)


# the holder --------------------------------------------------------------------------------------------------------


def note(
    held: Held,
    events: list[EventEntry],
    *,
    started_at: int | None = None,
    info: str | None = None,
    cleared: bool = False,
) -> Change:
    """The holder adds to the history of a running attempt, and says when it began if that is new.

    A suspect that begins is watched from then on; `cleared` takes its mark away.
    """
    began = started_at is not None
    suspect = Suspicion.NONE if cleared else Suspicion.WATCHED if began and held.suspect else None
    return Change(
        held.key,
        held.claim,
        len(events),
        events,
        None,
        started_at,
        None,
        State.RUNNING,
        Guard.ANY,
        began=int(began),
        suspect=suspect,
        info=info,
    )


def hand_back(held: Held, at: int) -> Change:
    """The holder gives back what it has not begun: ready again at the same rank, the attempt not counted.

    Under a verdict that owes nothing, the task ends by it.
    """
    if held.verdict is not None:
        return _no_try_under_verdict(held, at, [])
    return _move(held, State.READY, [], attempt=-1, suspect=_unwatched(held))


def finish(
    held: Held,
    policy: Policy,
    outcome: Outcome,
    at: int,
    dice: float,
    *,
    before: list[EventEntry] | None = None,
    started_at: int | None = None,
    info: str | None = None,
    output: str = "",
) -> Change:
    """Decide what becomes of a task whose attempt came to this outcome.

    `before` are the events of this attempt that are not in the store yet; they and the outcome are one change.
    """
    if held.verdict is not None:
        change = _decided_under_verdict(held, outcome, at)
    elif isinstance(outcome, Success):  # without detours: most tasks come this way
        events = [*(before or ()), ("success", at, None)]
        return Change(
            held.key, held.claim, len(events), events, outcome.value, started_at, at, _SUCCEEDED, _UNGUARDED,
            began=1, suspect=0, info=info,
        )  # fmt: skip
    else:
        change = _decided(held, policy, outcome, at, dice, output)
    return _after(change, before, started_at, info)


def _decided(held: Held, policy: Policy, outcome: NoSuccess, at: int, dice: float, output: str) -> Change:
    match outcome:
        case Snoozed(until):
            told: list[EventEntry] = [("snooze", at, {"until": until})]
            rank = rank_terms(Place.BACK, due=until).at(0)
            return _move(held, State.SCHEDULED, told, attempt=-1, run_at=until, rank=rank, suspect=0, began=1)
        case Interrupted(why):
            told = [("interrupt", at, {"why": why})]
            return _move(held, State.READY, told, attempt=-1, suspect=_unwatched(held))
        case Failure(_, retry):
            return _again(held, policy, "failure", ending_of(outcome, output), at, dice, hopeless=not retry)
        case Raised():
            return _again(held, policy, "error", ending_of(outcome, output), at, dice)
        case TimedOut():
            return _again(held, policy, "timeout", ending_of(outcome, output), at, dice)
        case Died():
            return _death(held, policy, "died", ending_of(outcome, output), at, dice)
        case OutOfMemory():
            return _death(held, policy, "memory", ending_of(outcome, output), at, dice)
        case Invalid():
            return _fail(held, "invalid", ending_of(outcome, output), at)
        case Dropped():
            return _fail(held, "dropped", ending_of(outcome, output), at)
        case Cancelled():
            return _cancelled_unasked(held, at)
        case _:
            assert_never(outcome)


def rescue(
    held: Held,
    policy: Policy,
    at: int,
    dice: float,
    *,
    blamed: bool = True,
    before: list[EventEntry] | None = None,
    started_at: int | None = None,
    info: str | None = None,
) -> Change:
    """Decide for a task whose node is lost, with all its processes: nobody is charged.

    But a suspect that had begun was watched alone; it is what the node was lost with, and that counts as a death.
    Where it is known that what nodes ran is not what they were lost for, it is not `blamed`, and nothing is counted.
    For `before` see `finish`; only a node that lost no more than its runners has any.
    """
    return _after(_rescued(held, policy, at, dice, blamed=blamed), before, started_at, info)


def _rescued(held: Held, policy: Policy, at: int, dice: float, *, blamed: bool) -> Change:
    if held.verdict is not None:
        return _no_try_under_verdict(held, at, [("rescue", at, None)])
    if not blamed:
        return _move(held, State.READY, [("rescue", at, None)], attempt=-1, suspect=_unwatched(held))
    if held.suspect == Suspicion.WATCHED:
        change = _death(held, policy, "died", Ending(kind="died", reason="its node was lost"), at, dice)
        return change if change.state in ENDED else msgspec.structs.replace(change, suspect=Suspicion.SUSPECT)
    losses = held.losses + 1
    event: EventEntry = ("rescue", at, {"losses": losses})
    return _move(
        held,
        State.READY,
        [event],
        attempt=-1,
        losses=1,
        suspect=Suspicion.SUSPECT if losses >= SUSPECT_LOSSES else None,
    )


# how it is decided -------------------------------------------------------------------------------------------------


def _after(change: Change, before: list[EventEntry] | None, started_at: int | None, info: str | None) -> Change:
    """Put before a change what was told and is not in the store yet."""
    if not before and started_at is None and info is None:
        return change
    events = [*(before or ()), *change.events]
    return msgspec.structs.replace(change, count=len(events), events=events, started_at=started_at, began=1, info=info)


def _move(held: Held, state: State, events: list[EventEntry], *, ended_at: int | None = None, **more: Any) -> Change:
    guard = Guard.NONE if held.verdict is None else Guard.STANDS
    return Change(held.key, held.claim, len(events), events, None, None, ended_at, state, guard, **more)


def _again(
    held: Held,
    policy: Policy,
    cause: Cause,
    ending: Ending,
    at: int,
    dice: float,
    *,
    deaths: int = 0,
    hopeless: bool = False,
) -> Change:
    """Schedule the next attempt, lower in priority if failures repeat; or fail for good."""
    if hopeless or held.attempt >= policy.max_attempts:
        return _fail(held, cause, ending, at, deaths=deaths)
    run_at = at + round(policy.retry.wait(held.attempt, dice) * 1_000_000)
    demoted = policy.demote_after > 0 and held.attempt >= policy.demote_after
    return _move(
        held,
        State.SCHEDULED,
        [("retry", at, _told(ending, run_at=run_at))],
        run_at=run_at,
        band=lowered(held.band) if demoted else None,
        deaths=deaths,
        suspect=0,
        began=1,
        error=_kept(ending),
    )


def _death(held: Held, policy: Policy, cause: Cause, ending: Ending, at: int, dice: float) -> Change:
    if held.deaths + 1 >= MOST_DEATHS:
        return _fail(held, "quarantined", ending, at, deaths=1)
    return _again(held, policy, cause, ending, at, dice, deaths=1)


def _fail(held: Held, cause: Cause, ending: Ending, at: int, *, deaths: int = 0) -> Change:
    told = _told(ending, cause=cause)
    if held.owed:
        return _move(
            held,
            State.READY,
            [("verdict", at, told)],
            verdict=State.FAILED,
            cause=cause,
            deaths=deaths,
            suspect=0,
            began=1,
            error=_kept(ending),
        )
    return _move(
        held,
        State.FAILED,
        [("fail", at, told)],
        cause=cause,
        deaths=deaths,
        suspect=0,
        began=1,
        ended_at=at,
        error=_kept(ending),
    )


def _decided_under_verdict(held: Held, outcome: Outcome, at: int) -> Change:
    if isinstance(outcome, Interrupted):
        return _no_try_under_verdict(held, at, [("interrupt", at, {"why": outcome.why})])
    if held.cleaning:
        return _finish_cleanup(held, outcome, at)
    if isinstance(outcome, Cancelled):
        return _under_verdict(held, at, [], began=1)
    return _under_verdict(held, at, [("rejected", at, {"outcome": _name(outcome)})], began=1)  # it comes too late


def _no_try_under_verdict(held: Held, at: int, events: list[EventEntry]) -> Change:
    """What was no real try is not counted, under a verdict as without."""
    if held.cleaning:
        return _move(held, State.READY, events, cleanup=-1)
    return _under_verdict(held, at, events, attempt=-1)


def _under_verdict(held: Held, at: int, events: list[EventEntry], **more: Any) -> Change:
    """End as the verdict says, or turn to what is owed."""
    if held.owed:
        return _move(held, State.READY, events, **more)
    assert held.verdict is not None
    last: EventEntry = ("cancel" if held.verdict == State.CANCELLED else "fail", at, None)
    return _move(held, State(held.verdict), [*events, last], ended_at=at, suspect=0, **more)


def _finish_cleanup(held: Held, outcome: Outcome, at: int) -> Change:
    event: EventEntry = ("step", at, {"cleanup": held.owed[0] if held.owed else "", "outcome": _name(outcome)})
    if not isinstance(outcome, Success) and held.cleanup < MOST_CLEANUPS:
        return _move(held, State.SCHEDULED, [event], run_at=at + CLEANUP_BACKOFF)
    rest = held.owed[1:]
    owed = _encode(rest).decode()
    if rest:
        return _move(held, State.READY, [event], cleanup=-held.cleanup, owed=owed)
    return _under_verdict(msgspec.structs.replace(held, owed=()), at, [event], owed=owed)


def _cancelled_unasked(held: Held, at: int) -> Change:
    """A cancel that is not in the store yet was answered already: keep it as the task's end."""
    if held.owed:
        return _move(
            held, State.READY, [("verdict", at, None)], verdict=State.CANCELLED, cause="cancel", suspect=0, began=1
        )
    return _move(held, State.CANCELLED, [("cancel", at, None)], cause="cancel", ended_at=at, suspect=0, began=1)


def _unwatched(held: Held) -> Suspicion | None:
    """A suspect that runs no more is one still, but nobody watches it until it begins again."""
    return Suspicion.SUSPECT if held.suspect else None


def _name(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()


def _kept(ending: Ending) -> str:
    """What the task's own row keeps of an ending: all but the output, which its history has."""
    return _encode(msgspec.structs.replace(ending, output=None)).decode()


def _told(ending: Ending, **more: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(ending), **more}
