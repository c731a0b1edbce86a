"""Write docs/lifecycle.md: how a task lives, as it follows from the code.

Nothing in its tables is typed by hand. Every event is decided by `duly.core.lifecycle` in every case that differs in
the facts below, and cases with the same answer become one line; what a store does by itself is seen by letting one do
it. `--check` writes nothing, and returns 1 if the page is not what the code says.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from duly.core import lifecycle, outcome
from duly.core.action import Policy
from duly.core.endings import exception_of
from duly.core.order import BACK_BASE, Band
from duly.core.passport import Options
from duly.core.retry import Backoff
from duly.core.task import ENDED, WAITING, Change, Ending, Held, Release, State, Suspicion, shown
from duly.errors import ErrorData
from duly.ports import CancelAsked, Request, Submission, Want
from duly.store.sqlite.store import SqliteStore

TEMPLATE = Path(__file__).with_name("lifecycle.template.md")
PAGE = Path(__file__).parent.parent / "docs" / "lifecycle.md"

AT = 1_000_000_000
UNTIL = AT + 3_600_000_000
POLICY = Policy(retry=Backoff(jitter=False))
ERROR = ErrorData(type="ValueError", message="no")

MANY = 4
"""More steps than these with the same lines are told as one."""

MOST_LABELS = 8
"""More labels than these are no news: anything leads there."""

MARKS = {Suspicion.NONE: "no suspect", Suspicion.SUSPECT: "a suspect", Suspicion.WATCHED: "a watched one"}

MEANINGS = {
    State.SCHEDULED: "its time has not come: a date, a snooze, or the wait before another attempt",
    State.PARKED: "it waits for a place, since a limit that it shares with others is full",
    State.READY: "it may run, and the next node that is free claims it",
    State.RUNNING: "a node holds it: its code runs, or is about to",
    State.SUCCEEDED: "its handler answered, and the answer is kept",
    State.FAILED: "it ended without success; the cause says why",
    State.CANCELLED: "somebody cancelled it; no later answer counts",
    State.EXPIRED: "it had not begun when its time was over",
}
CANCELLING = "how a task of the first four is shown while a verdict stands"


# --- cases -----------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """Something that a decision may depend on: what it can be, and what that means for the task that is held."""

    options: tuple[tuple[str, dict[str, Any]], ...]


ATTEMPT = Fact(
    (
        ("attempt 1", {"attempt": 1}),
        (f"from attempt {POLICY.demote_after} on", {"attempt": POLICY.demote_after}),
        ("the last attempt", {"attempt": POLICY.max_attempts}),
    )
)
DEATHS = Fact(
    (
        (f"fewer than {lifecycle.MOST_DEATHS - 1} deaths before", {"deaths": 0}),
        (f"{lifecycle.MOST_DEATHS - 1} deaths before", {"deaths": lifecycle.MOST_DEATHS - 1}),
    )
)
LOSSES = Fact((("no loss before", {"losses": 0}), ("a loss before", {"losses": lifecycle.SUSPECT_LOSSES - 1})))
OWED = Fact((("nothing is owed", {}), ("cleanup is owed", {"owed": ("undo",)})))
PAST = (DEATHS, LOSSES, ATTEMPT)
VERDICT = Fact((("it is to be cancelled", {"verdict": State.CANCELLED}), ("it is to fail", {"verdict": State.FAILED})))
TRIES = Fact(
    (
        ("attempts of this cleanup are left", {"cleanup": 1}),
        ("the last attempt of this cleanup", {"cleanup": lifecycle.MOST_CLEANUPS}),
    )
)
MORE = Fact(
    (("more is owed after it", {"owed": ("undo", "drop")}), ("it is the last that is owed", {"owed": ("undo",)}))
)


class Step(NamedTuple):
    """Something that happens to a task that is held, and how it is decided. `short` names it in the picture."""

    text: str
    short: str
    decide: Callable[[Held], Change]


def came_to(text: str, short: str, what: outcome.Outcome) -> Step:
    """An attempt came to this outcome."""
    return Step(text, short, lambda held: lifecycle.finish(held, POLICY, what, AT, 0.5))


STEPS = (
    came_to("The handler answers", "success", outcome.Success('"yes"')),
    came_to("It answers `Failure`", "failure", outcome.Failure("no")),
    came_to("It answers `Failure(retry=False)`", "failure", outcome.Failure("no", retry=False)),
    came_to("It raises", "error", outcome.Raised(ERROR)),
    came_to("Its time limit is reached", "time limit", outcome.TimedOut(600.0)),
    came_to("Its process dies", "death", outcome.Died(signal=9)),
    came_to("It runs out of memory", "out of memory", outcome.OutOfMemory(peak=2, limit=1)),
    came_to("Its payload or result cannot be used", "invalid", outcome.Invalid(ERROR)),
    came_to("Every service dropped it", "dropped", outcome.Dropped()),
    came_to("It answers `Snooze`", "snooze", outcome.Snoozed(UNTIL)),
    came_to("It is interrupted, through no fault of its own", "interrupted", outcome.Interrupted()),
    came_to("It is stopped by a cancel", "cancel", outcome.Cancelled()),
    Step("It goes back before it has begun", "handed back", lambda held: lifecycle.hand_back(held, AT)),
    Step("Its node is lost", "node lost", lambda held: lifecycle.rescue(held, POLICY, AT, 0.5)),
)


def task(**facts: Any) -> Held:
    """Return a running task with these facts."""
    return Held(**{"key": 1, "claim": 1, "id": "", "lane": 1, "band": 1, "rank": 1, "attempt": 1, **facts})


# --- what is said of a decision --------------------------------------------------------------------


class Told(NamedTuple):
    """A decision in words: a line's last columns."""

    becomes: str
    also: str
    history: str


def told(held: Held, change: Change) -> Told:
    """Say what becomes of a task."""
    return Told(becomes(held, change), "; ".join(also(held, change)), history(held, change))


def becomes(held: Held, change: Change) -> str:
    """Say the state, and what for; the causes have a table of their own."""
    state = named(change.state)
    quarantined = ", quarantined" if change.cause == "quarantined" else ""
    if change.verdict is not None:
        return f"{state} for its cleanup, to end {named(change.verdict)}{quarantined}"
    if held.verdict is None:
        return state + quarantined
    return "what was decided" if change.state in ENDED else f"{state} for its cleanup"


def also(held: Held, change: Change) -> Iterator[str]:
    """Say what else changes."""
    if change.deaths:
        yield "a death more"
    if change.losses:
        yield "a loss more"
    if change.attempt:
        yield "the attempt is given back"
    if change.cleanup == -1 and change.owed is None:
        yield "the attempt at cleanup is given back"
    if change.owed not in (None, "[]"):
        yield "the next cleanup is owed"
    if change.run_at is not None:
        yield when(held, change.run_at)
    if change.rank is not None:
        yield "at the back of its priority then"
    if change.band is not None:
        yield "one priority lower, unless it is low"
    if change.suspect is not None and change.suspect != held.suspect:
        yield f"it is {MARKS[Suspicion(change.suspect)]} now"


def when(held: Held, run_at: int) -> str:
    """Say when it is due."""
    if run_at == UNTIL:
        return "due when it asked for"
    if run_at == AT + round(POLICY.retry.wait(held.attempt, 0.5) * 1e6) and held.verdict is None:
        return "due after its backoff"
    return f"due after {(run_at - AT) / 1e6:g} s"


def history(held: Held, change: Change) -> str:
    """Name the events; the last one of an end that was decided before is that end's."""
    kinds = [f"`{kind}`" for kind, _, _ in change.events]
    if held.verdict is not None and change.state in ENDED:
        kinds[-1] = "`cancel` or `fail`"
    return ", ".join(kinds)


# --- from cases to lines ---------------------------------------------------------------------------

Lines = list[tuple[tuple[str, ...], Told]]


def lines(step: Step, facts: Sequence[Fact], known: dict[str, Any]) -> Lines:
    """Decide a step in all cases of these facts; return (conditions, decision), without facts that do not matter."""
    if not facts:
        held = task(**known)
        return [((), told(held, step.decide(held)))]
    first, *rest = facts
    groups: list[tuple[str, Lines]] = []
    for text, fields in first.options:
        found = lines(step, rest, {**known, **fields})
        if groups and groups[-1][1] == found:
            groups[-1] = (f"{groups[-1][0]} or {text}", found)
        else:
            groups.append((text, found))
    if len(groups) == 1:
        return groups[0][1]
    return [((text, *conditions), decision) for text, found in groups for conditions, decision in found]


def table(steps: dict[str, Lines]) -> Iterator[str]:
    """Yield a table; steps with just the same lines share them, and if those are most steps they come last."""
    shared: dict[tuple[Any, ...], list[str]] = {}
    for text, found in steps.items():
        shared.setdefault(tuple(found), []).append(text)
    yield from header("what happens", "if", "it becomes", "and", "history")
    for key, texts in sorted(shared.items(), key=lambda group: len(group[1]) > MANY):
        what = "anything else" if len(texts) > MANY else "<br>".join(texts)
        for conditions, decision in key:
            yield row(what, ", ".join(conditions), *decision)
            what = ""


def of_all(facts: Sequence[Fact], **known: Any) -> dict[str, Lines]:
    """Return the lines of every step."""
    return {step.text: lines(step, facts, known) for step in STEPS}


def header(*cells: str) -> tuple[str, str]:
    """Write the two lines that begin a table."""
    return row(*cells), "|" + "---|" * len(cells)


def row(*cells: str) -> str:
    """Write one line of a table."""
    return "| " + " | ".join(cells) + " |"


def named(state: int) -> str:
    """Write a state's name."""
    return f"`{State(state).name.lower()}`"


# --- the sections ----------------------------------------------------------------------------------


def states() -> Iterator[str]:
    """Yield what the states mean, and which ones nothing leads to yet."""
    reached = {edge.target for edge in edges()}
    yield from header("state", "what it means")
    for state in State:
        yet = "" if shown(state, None) in reached else " (no task gets here yet)"
        yield row(named(state), MEANINGS[state] + yet)
    yield row("`cancelling`", CANCELLING)


def picture() -> Iterator[str]:
    """Yield the states and steps as a Mermaid diagram; what leads from a state by anything has no label."""
    labels: dict[tuple[str, str], list[str]] = {}
    for source, target, label in edges():
        if source != target:
            labels.setdefault((source, target), []).append(label)
    yield "```mermaid"
    yield "stateDiagram-v2"
    for (source, target), found in labels.items():
        yield f"    {source} --> {target}" + (f": {', '.join(found)}" if len(found) <= MOST_LABELS else "")
    for state in ENDED:
        if any(target == shown(state, None) for _, target in labels):
            yield f"    {shown(state, None)} --> [*]"
    yield "```"


def waiting() -> Iterator[str]:
    """Yield what happens to a task that nobody holds, and what a cancel does to any."""
    yield from header("what happens", "in state", "if", "it becomes", "and")
    yield row("It is submitted", "", "without a date", named(lifecycle.admit(Options())), "")
    yield row("", "", "with a date", named(lifecycle.admit(Options(run_at=AT))), "")
    ways, late = by_the_store()
    for seen in ways:
        yield row(seen.text, named(seen.before), "", named(seen.after), seen.also)
    what = "Somebody cancels it"
    for said, states in cancels().items():
        yield row(what, ", ".join(map(named, states)), *said)
        what = ""
    for seen in late:
        yield row(seen.text, named(seen.before), "", named(seen.after), seen.also)
    yield from retrying()


def retrying() -> Iterator[str]:
    """Yield what a retry does to any task."""
    what = "Somebody retries it"
    shared: dict[tuple[str, str], list[str]] = {}
    for state, verdict in ((State.FAILED, None), *product(State, [None]), (State.READY, State.CANCELLED)):
        release = retried(state, verdict)
        said = ("", "refused") if release is None else (named(release.state), "; ".join(of_retry(release)))
        found = shared.setdefault(said, [])
        name = f"`{shown(state, verdict)}`"
        found += [name] * (name not in found)
    for said, states in shared.items():
        yield row(what, ", ".join(states), "", *said)
        what = ""


def retried(state: State, verdict: State | None = None) -> Release | None:
    """Decide a retry of a lowered task whose date is to come."""
    return lifecycle.retry(lifecycle.Standing(1, 1, state, verdict, Band.LOW, BACK_BASE + UNTIL, None), AT)


def of_retry(release: Release) -> Iterator[str]:
    """Say what else a retry changes."""
    if release.anew:
        yield "all that was counted begins anew"
    if release.run_at == AT:
        yield "due now"
    if release.rank == BACK_BASE + AT:
        yield f"at the back of {'its declared' if release.band != Band.LOW else 'its'} priority"
    yield ", ".join(f"history: `{kind}`" for kind, _, _ in release.events)


def cancels() -> dict[tuple[str, str, str], list[State]]:
    """Return what a cancel does (if, becomes, and), and to tasks of which states."""
    shared: dict[tuple[str, str, str], list[State]] = {}
    for state in State:
        both = [lifecycle.cancelled_from(state, None, owed=owed) for owed in (False, True)]
        matters = len({found and found[2:] for found in both}) > 1
        for found, if_owed in zip(both, ("nothing is owed", "cleanup is owed"), strict=True):
            if found is not None:
                to = named(found.to) + (" for its cleanup" if found.verdict and state in WAITING else "")
                verdict = f"a verdict, to end {named(found.verdict)}; " if found.verdict else ""
                said = (if_owed if matters else "", to, f"{verdict}the answer is `{found.answer}`")
                shared.setdefault(said, []).append(state)
    return {said: list(dict.fromkeys(states)) for said, states in shared.items()}


def while_owed() -> dict[str, Lines]:
    """Return the lines that are others while cleanup is owed."""
    plain, owing = of_all(PAST), of_all(PAST, owed=("undo",))
    differing = {text: [line for line in owing[text] if line not in plain[text]] for text in plain}
    return {text: found for text, found in differing.items() if found}


def suspects() -> Iterator[str]:
    """Yield what becomes of the mark of a suspect."""
    begins = Step("It begins", "", lambda held: lifecycle.note(held, [], started_at=AT))
    proved = Step("It has run alone for a while", "", lambda held: lifecycle.note(held, [], cleared=True))
    shared: dict[tuple[str, ...], list[str]] = {}
    for step in (begins, proved, *STEPS):
        marks = tuple(mark_after(step, task(suspect=mark, losses=lifecycle.SUSPECT_LOSSES)) for mark in Suspicion)
        shared.setdefault(marks, []).append(step.text)
    yield from header("what happens", *(f"to {MARKS[mark]}" for mark in Suspicion))
    for marks, texts in shared.items():
        yield row("any answer or end of the attempt" if len(texts) > MANY else "<br>".join(texts), *marks)


def mark_after(step: Step, held: Held) -> str:
    """Say what a task is after a step: a suspect or not, and whether it was charged."""
    change = step.decide(held)
    mark = held.suspect if change.suspect is None else change.suspect
    return MARKS[Suspicion(mark)] + (", a death more" if change.deaths and "node" in step.text else "")


def ends() -> Iterator[str]:
    """Yield the ends, their causes, and what a submitter who waits for the result gets."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for step, held in product(STEPS, cases([ATTEMPT, DEATHS])):
        change = step.decide(held)
        if change.state == State.SUCCEEDED:
            found.setdefault((named(change.state), "", "the value"), [step.text])
        elif change.state in ENDED:
            ending = msgspec.json.decode(change.error, type=Ending) if change.error else None
            raised = type(exception_of(ending, change.cause or "")).__name__
            texts = found.setdefault((named(change.state), f"`{change.cause}`", f"`{raised}`"), [])
            texts += [step.text] * (step.text not in texts)
    yield from header("end", "cause", "came of", "`handle.result()` gives or raises")
    for (state, cause, gives), texts in found.items():
        yield row(state, cause, "<br>".join(texts), gives)


# --- what leads where ------------------------------------------------------------------------------


class Edge(NamedTuple):
    """A step as the picture shows it."""

    source: str
    target: str
    label: str


def edges() -> list[Edge]:
    """Return all steps that a task can take."""
    found = [
        Edge("[*]", shown(lifecycle.admit(Options()), None), "submit"),
        Edge("[*]", shown(lifecycle.admit(Options(run_at=AT)), None), "submit with a date"),
    ]
    found += [Edge(shown(step.before, None), shown(step.after, None), step.short) for step in by_the_store()[0]]
    found += [
        Edge(shown(cancel.state, None), shown(cancel.to, cancel.verdict), "cancel") for cancel in lifecycle.CANCEL
    ]
    releases = [release for release in map(retried, State) if release is not None and release.state != release.found]
    found += [Edge(shown(release.found, None), shown(release.state, None), "retry") for release in releases]
    for held in (*cases([*PAST, OWED]), *cases([VERDICT, OWED]), *cases([VERDICT, TRIES, MORE])):
        for step in STEPS:
            change = step.decide(held)
            verdict = held.verdict if change.verdict is None else change.verdict
            found.append(Edge(shown(State.RUNNING, held.verdict), shown(change.state, verdict), step.short))
    return list(dict.fromkeys(found))


def cases(facts: Sequence[Fact]) -> list[Held]:
    """Return a running task for each case of these facts."""
    choices = product(*(fact.options for fact in facts))
    return [task(**{name: value for _, fields in chosen for name, value in fields.items()}) for chosen in choices]


class Seen(NamedTuple):
    """Something that a store was seen to do. `short` names it in the picture."""

    text: str
    short: str
    before: int
    after: int
    also: str


@cache
def by_the_store() -> tuple[list[Seen], list[Seen]]:
    """Let a store do what it does by itself: what leads to running, and cancels that come too late."""
    now = AT
    store = SqliteStore(":memory:", clock=lambda: now)
    store.open()
    (lane,) = store.lanes([("default", "email:send", 1)])
    node, number = store.enlist("node", "", ""), 1
    submission = Submission("id", lane.number, State.SCHEDULED, 1, 0, 0, 0, UNTIL, None, "{}", "", "")
    store.exchange(Request(submits=[submission]))

    def seen(text: str, short: str, **said: Any) -> Seen:
        nonlocal number
        (before,) = store.find(["id"])
        reply = store.exchange(Request(node=node, number=number, **said))
        number += reply.counted
        (after,) = store.find(["id"])
        more = "an attempt more" if after.attempt > before.attempt else ""
        return Seen(text, short, before.state, after.state, more or f"the answer is `{reply.cancelled.get('id')}`")

    now, cancel = UNTIL, [CancelAsked("id", "")]
    ways = [
        seen("Its time comes", "due")._replace(also=""),
        seen("A node claims it", "claim", wants=[Want([lane.number], 1)]),
    ]
    seen("", "", cancels=cancel)
    late = [seen("Somebody cancels it once more", "", cancels=cancel)]
    seen("", "", changes=[lifecycle.hand_back(held, now) for held in store.held(node, 1)])
    late.append(seen("Somebody cancels it too late", "", cancels=cancel))
    store.close()
    return ways, late


# --- the page --------------------------------------------------------------------------------------


def page() -> str:
    """Return the whole page."""
    parts = {
        "states": states(),
        "picture": picture(),
        "waiting": waiting(),
        "running": table(of_all(PAST)),
        "ends": ends(),
        "verdict": table(of_all([VERDICT, OWED])),
        "owed": table(while_owed()),
        "cleanup": table(of_all([VERDICT, TRIES, MORE])),
        "suspects": suspects(),
    }
    return TEMPLATE.read_text(encoding="utf-8").format(
        **{name: "\n".join(found) for name, found in parts.items()},
        attempts=POLICY.max_attempts,
        deaths=lifecycle.MOST_DEATHS,
        cleanups=lifecycle.MOST_CLEANUPS,
        losses=lifecycle.SUSPECT_LOSSES,
    )


def main(arguments: Sequence[str], path: Path = PAGE) -> int:
    """Write the page, or with `--check` only compare it; return 1 if it differs."""
    text = page()
    if "--check" not in arguments:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path.name} is not what duly.core.lifecycle says: run python tools/lifecycle.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
