"""What must hold of a store after any fault: its history, its rows, and what the tasks say that they did.

It knows nothing of the code that decides. It reads a task's history from the beginning, and asks of each event whether
it could have come next, and of the row whether that is where the history led. All that is wrong is told at once.

- I1 what was acknowledged is there, and ends; I2 it ends once; I3 attempts are 1, 2, 3 ..., each with begin and end;
- I4 what an old claim says changes nothing; I5 nothing runs more often than it may; I6 every step is a legal one;
- I7 the history leads to the row; I8 nothing begins before its time; I11 no process outlives what it was for;
- I12 what keeps it is sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.faults.contents import Row, Where, contents, on_server
from tests.faults.effects import Effect, by_task, read
from tests.faults.shop import app as shop
from tests.faults.shop import carry
from tests.faults.walk import FAILED, READY, REDATING, RUNNING, SCHEDULED, STATES, SUCCEEDED, Life, Run, Wrong
from tests.helpers import born, eventually, parent
from tests.place import Place

GONE_SECONDS = 2.0
"""How long a process may outlive what it was for."""

MOST_WAITED = 10_000_000
"""Microseconds that a writer of a file waits for others at most."""

MOST_DEATHS = 3
OWN = {action.name for action in shop.actions} - {carry.name}  # whose value names the execution
MOST_TOLD = 20


class Violation(NamedTuple):
    """What is wrong, with which task ("": with none)."""

    invariant: str
    task: str
    text: str


def check(place: Place, acknowledged: Iterable[str], *, settled: bool = True, clocks: bool = True) -> None:
    """Check a place: its store, the log of effects in it, and its processes. Raises `AssertionError`.

    `settled`: all that was acknowledged must have ended. `clocks`: the wall clock was left alone.
    """
    found = violations(place.url, acknowledged, read(place.effects), settled=settled, clocks=clocks)
    tell([*found, *strays(place)], place.url)


def check_file(
    where: Where,
    acknowledged: Iterable[str],
    effects: Sequence[Effect] = (),
    *,
    settled: bool = True,
    clocks: bool = True,
) -> None:
    """Check a store: as `check`, where there are no processes. Raises `AssertionError`."""
    tell(violations(where, acknowledged, effects, settled=settled, clocks=clocks), where)


def tell(found: Sequence[Violation], where: Where) -> None:
    """Raise an `AssertionError` that names each violation, with the history of its task; if there is any."""
    if not found:
        return
    lines = [f"{len(found)} violations in {where}"]
    for one in found[:MOST_TOLD]:
        lines += [f"{one.invariant} {one.task}: {one.text}", *_shown(where, one.task)]
    if len(found) > MOST_TOLD:
        lines.append(f"... and {len(found) - MOST_TOLD} more")
    raise AssertionError("\n".join(lines))


def violations(
    where: Where,
    acknowledged: Iterable[str],
    effects: Sequence[Effect] = (),
    *,
    settled: bool = True,
    clocks: bool = True,
    most_attempts: Mapping[str, int] | None = None,
) -> list[Violation]:
    """Return all that is wrong with a store. `most_attempts` is by action; those of the shop are known."""
    limits = {action.name: action.spec.policy.max_attempts for action in shop.actions} | dict(most_attempts or {})
    damages, rows, histories = contents(where)
    done = by_task(effects)
    known = {row.id for row in rows}
    found = [Violation("I12", "", damage) for damage in damages]
    found += [Violation("I1", task, "it was acknowledged, and is not there") for task in set(acknowledged) - known]
    found += [Violation("I1", task, "it has run, and is not there") for task in done.keys() - known]
    found += [
        Violation("I7", "", f"events of a task {key} that is not there")
        for key in histories.keys() - {row.key for row in rows}
    ]
    for row in rows:
        options = json.loads(row.options or "{}")
        most = options.get("max_attempts") or limits.get(row.action)
        leased = on_server(where)
        history = histories.get(row.key, ())
        life = Life(_first_due(row, options, history, 0 if leased else MOST_WAITED), row.submitted, leased=leased)
        wrong = life.read(history)
        wrong += _compared(row, life, settled=settled)
        wrong += _bounded(row, most)
        wrong += _done(row, life, done.get(row.id, []), clocks=clocks) if effects else []
        found += [Violation(invariant, row.id, text) for invariant, text in wrong if clocks or invariant != "I8"]
    return found


def strays(place: Place) -> list[Violation]:
    """Return which processes have outlived their worker, or a task with a process of its own, for too long."""
    found: list[Violation] = []

    def gone() -> bool:
        found[:] = _strays(place)
        return not found

    try:
        eventually(gone, GONE_SECONDS)
    except AssertionError:
        return found
    return []


def _shown(where: Where, task: str) -> Iterator[str]:
    """How a task stands, and all that is told of it, line by line."""
    _, rows, histories = contents(where)
    for row in rows:
        if row.id == task:
            yield f"    {row}"
            for run in histories.get(row.key, ()):
                yield f"    {run}"


# a row and its history
def _first_due(row: Row, options: dict[str, Any], history: Sequence[Run], waited: int) -> int | None:
    """When it was to begin at first; or some time before, where another date has replaced that.

    A delay counts from when its store was asked, which may have `waited` so long for other writers, whose tasks are
    submitted before.
    """
    if "delay" not in options:
        return options.get("run_at")
    latest = row.submitted + round(options["delay"] * 1e6)
    earliest = latest - waited
    replaced = any(kind in REDATING for run in history for kind, _, _ in run.events)
    return row.run_at if not replaced and row.run_at is not None and earliest <= row.run_at <= latest else earliest


def _compared(row: Row, life: Life, *, settled: bool) -> Iterator[Wrong]:
    """The row must be where the history led."""
    if settled and row.state <= RUNNING:
        yield "I1", f"it has not ended, and is {STATES[row.state]}"
    at_work = row.state == RUNNING
    if row.state != life.state and not (life.state <= RUNNING and _reachable(row, life)):
        yield "I7", f"it is {STATES[row.state]}, and {STATES[life.state]} by its history"
    if life.begun is not None and not (at_work and row.claim == life.begun):
        yield "I3", f"claim {life.begun} has begun and not ended, and it is {STATES[row.state]} under claim {row.claim}"
    if row.claim < life.over or (at_work and row.claim == life.over):
        yield "I4", f"claim {row.claim}, after claim {life.over} was over"
    if at_work != (row.node is not None):
        yield "I6", f"it is {STATES[row.state]}, and held by {row.node}"
    if (row.state == SUCCEEDED) != (row.value is not None):
        yield "I2", f"it is {STATES[row.state]}, and its value is {row.value}"
    suspect = row.suspect if life.suspect is None or at_work else life.suspect
    told = {
        "attempt": life.counted + at_work, "deaths": life.deaths, "losses": life.losses, "seq": life.seq,
        "suspect": suspect, "verdict": life.verdict, "cause": life.cause if life.verdict is None else "cancel",
        "run_at": life.run_at, "started_at": life.started_at, "ended_at": life.ended_at,
    }  # fmt: skip
    for name, value in told.items():
        if (had := getattr(row, name)) != value:
            yield "I3" if name == "attempt" else "I7", f"{name} is {had}, and {value} by its history"


def _reachable(row: Row, life: Life) -> bool:
    """Whether it could come there without an event: what is due becomes ready, and is claimed."""
    return row.state in (life.state, RUNNING) or (life.state, row.state) == (SCHEDULED, READY)


def _bounded(row: Row, most: int | None) -> Iterator[Wrong]:
    if most is not None and row.attempt > most:
        yield "I5", f"attempt {row.attempt} of {most}"
    if row.deaths > MOST_DEATHS or (row.deaths == MOST_DEATHS and row.state != FAILED):
        yield "I5", f"{row.deaths} deaths, and it is {STATES[row.state]}"


def _done(row: Row, life: Life, effects: Sequence[Effect], *, clocks: bool) -> Iterator[Wrong]:
    """What the task says that it did must fit what is told of it."""
    begun = [effect for effect in effects if effect.what == "begin"]
    ended = [effect for effect in effects if effect.what == "end"]
    if len(begun) > row.claim:
        yield "I5", f"it ran {len(begun)} times under {row.claim} claims"
    for effect in begun:
        due = life.earliest.get(effect.attempt)
        if due is None:
            yield "I3", f"it ran as attempt {effect.attempt}, of which nothing is told"
        elif clocks and effect.at < due:
            yield "I8", f"it ran as attempt {effect.attempt} {due - effect.at} µs before its time"
    if row.state == SUCCEEDED and row.action in OWN:
        came = [effect for effect in ended if effect.attempt == row.attempt]
        if not came:
            yield "I2", f"it succeeded by attempt {row.attempt}, which did not come to its end"
        elif row.value not in {f"[{effect.pid},{effect.began}]" for effect in came}:
            yield "I4", f"its value {row.value} is of none of the executions of attempt {row.attempt}"


# processes
def _strays(place: Place) -> list[Violation]:
    workers = set(place.alive())
    left = place.left()
    found = [Violation("I11", "", f"process {pid} lives without its worker") for pid in left if not _of(pid, workers)]
    if not workers:
        return found
    states = {row.id: row.state for row in contents(place.url)[1]}
    over = [
        effect
        for effect in read(place.effects)
        if effect.kind == "fresh"
        and effect.pid in left
        and states.get(effect.task, RUNNING) > RUNNING
        and born(effect.pid) <= effect.moment  # else it is another one: numbers of processes are used again
    ]
    return found + [Violation("I11", one.task, f"its process {one.pid} lives, and it has ended") for one in over]


def _of(pid: int, workers: set[int]) -> bool:
    """Whether a process is one of these, or descends from one."""
    while pid > 1 and pid not in workers:
        pid = parent(pid)
    return pid in workers
