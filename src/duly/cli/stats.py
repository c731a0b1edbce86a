"""`duly stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from duly.app import App
from duly.cli import exits
from duly.cli.gauge import watching
from duly.cli.places import app_option, check_store, named_app, url_option
from duly.cli.streams import plain, put, put_json, say, styled, talk_options
from duly.cli.words import ago, aligned, count, duration
from duly.core import units
from duly.core.task import ENDED, State, shown
from duly.history import when
from duly.listing import PauseInfo, paused_since
from duly.ports import NodeRow, Tally

STATES = ("scheduled", "ready", "running", "cancelling", "succeeded", "failed", "cancelled", "expired")
WAITING = STATES[:2]
LEAST = 0.1
"""Seconds between two looks of `--watch`, at least."""


class Row(NamedTuple):
    """The tasks of one action, version and queue; `declared` by the App, None without one."""

    action: str
    version: int
    queue: str
    declared: bool | None
    tasks: dict[str, int]
    ready_since: datetime | None
    running_since: datetime | None
    next_due_at: datetime | None
    paused_since: datetime | None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(self.tasks[state] for state in WAITING)


@click.command(
    "stats",
    epilog="""\b
Examples:
  duly stats
  duly stats -a shop:app                     tells also what this App does not declare
  duly stats --json | jq .tasks.failed
  duly stats --watch                         until Ctrl-C, with tasks per second
  duly stats --watch --every 10s --json >> stats.jsonl
""",
)
@app_option
@url_option
@click.option("--watch", is_flag=True, help="Count again and again until Ctrl-C, and tell how many a second.")
@click.option("--every", metavar="TIME", help="With --watch: how often; 2s unless said, 100ms at least.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with --watch one a line.")
@talk_options
def command(app_name: str | None, url: str | None, watch: bool, every: str | None, as_json: bool) -> None:
    """Count tasks by action, queue and state, and say for how long they wait and who works on them.

    It reads each task once (some two million a second), and keeps nobody from writing meanwhile. With an App it also
    says what waits that the App does not declare.

    With --watch it counts again and again: on a terminal in place, elsewhere one report after another. It also tells
    how many tasks were submitted, and how many ended, per second since it looked last.
    """
    if every is not None and not watch:
        exits.refuse("--every says how often --watch counts", "add --watch")
    app = named_app(app_name)
    store = App(url) if url is not None else app or App()
    check_store(store)
    declared = None if app is None else {(action.name, action.version) for action in app.actions}
    if watch:
        seconds = max(LEAST, units.seconds(every or "2s", "every"))
        watching(lambda: _look(store, declared), _as_data, _lines, seconds, as_json=as_json)
        return
    look = _look(store, declared)
    if as_json:
        put_json(_as_data(look))
    else:
        _show(look)


class Look(NamedTuple):
    """What one look at a store has shown; `submitted` counts all tasks that ever were."""

    rows: list[Row]
    nodes: list[tuple[NodeRow, bool]]
    tallies: list[Tally]
    submitted: int
    pauses: list[PauseInfo]

    @property
    def open(self) -> int:
        """How many have not ended."""
        return sum(tally.tasks for tally in self.tallies if tally.state not in ENDED)

    @property
    def ready_since(self) -> datetime | None:
        """Since when the one is ready that has been for the longest time."""
        return min((row.ready_since for row in self.rows if row.ready_since is not None), default=None)


def _look(store: App, declared: set[tuple[str, int]] | None) -> Look:
    tallies, nodes, pauses = store.stats(), store.nodes(), store.paused()
    rows = [_row(lane, group, declared, pauses) for lane, group in _by_lane(tallies).items()]
    return Look(rows, nodes, tallies, store.submitted(), pauses)


def _by_lane(tallies: list[Tally]) -> dict[tuple[str, str, int], list[Tally]]:
    lanes: dict[tuple[str, str, int], list[Tally]] = {}
    for tally in sorted(tallies, key=lambda tally: (tally.action, tally.version, tally.queue)):
        lanes.setdefault((tally.action, tally.queue, tally.version), []).append(tally)
    return lanes


def _row(
    lane: tuple[str, str, int], group: list[Tally], declared: set[tuple[str, int]] | None, pauses: list[PauseInfo]
) -> Row:
    action, queue, version = lane
    return Row(
        action,
        version,
        queue,
        None if declared is None else (action, version) in declared,
        _counts(group),
        _since(group, State.READY),
        _since(group, State.RUNNING),
        _since(group, State.SCHEDULED),
        paused_since(queue, action, pauses),
    )


def _counts(tallies: Iterable[Tally]) -> dict[str, int]:
    counter: Counter[str] = Counter()
    for tally in tallies:
        counter[shown(tally.state, 1 if tally.asked else None)] += tally.tasks
    return {state: counter[state] for state in STATES}


def _since(group: list[Tally], state: State) -> datetime | None:
    moments = [tally.since for tally in group if tally.state == state and tally.since is not None]
    return when(min(moments)) if moments else None


def _held(tallies: list[Tally]) -> Counter[int | None]:
    held: Counter[int | None] = Counter()
    for tally in tallies:
        held[tally.node] += tally.tasks
    return held


def _as_data(look: Look) -> dict[str, Any]:
    rows, nodes, tallies = look.rows, look.nodes, look.tallies
    held = _held(tallies)
    return {
        "tasks": _counts(tallies),
        "actions": [row._asdict() for row in rows],
        "workers": [
            {
                "node": node.number,
                "label": node.label,
                "lives": lives,
                "started_at": when(node.started_at),
                "running": held[node.number],
            }
            for node, lives in nodes
        ],
        "paused": [pause._asdict() for pause in look.pauses],
    }


# for people --------------------------------------------------------------------------------------------------------


def _show(look: Look) -> None:
    if not look.rows:
        say("no tasks")
    for line in _lines(look):
        put(line)
    working = any(lives for _, lives in look.nodes)
    for line in _unserved(look.rows, working=working):
        say(line)


def _lines(look: Look) -> Iterator[str]:
    if look.rows:
        yield from _table(look.rows)
        yield ""
    yield from _workers(look.nodes, _held(look.tallies))
    for pause in look.pauses:
        yield _paused(pause, look.rows)


def _table(rows: list[Row]) -> Iterator[str]:
    now = datetime.now(UTC)
    states = [state for state in STATES if state in ("ready", "running") or any(row.tasks[state] for row in rows)]
    table = [("action", "queue", *states, "oldest ready")]
    for row in rows:
        name = row.action + (f" v{row.version}" if row.version != 1 else "")
        waits = duration((now - row.ready_since).total_seconds()) if row.ready_since is not None else ""
        table.append((name, row.queue, *(f"{row.tasks[state]:,}" for state in states), waits))
    head, *told = aligned(table, right=range(2, 2 + len(states)))
    yield click.style("  ".join(head).rstrip(), bold=True)
    for cells, row in zip(told, rows, strict=True):
        coloured = [
            styled(cell, state) if row.tasks[state] else cell for cell, state in zip(cells[2:], states, strict=False)
        ]
        yield "  ".join([*cells[:2], *coloured, cells[-1]]).rstrip()


def _workers(nodes: list[tuple[NodeRow, bool]], held: Counter[int | None]) -> Iterator[str]:
    now = datetime.now(UTC)
    yield count(sum(lives for _, lives in nodes), "worker") + " at work"
    for node, lives in nodes:
        does = f"runs {count(held[node.number], 'task')}, since {ago(when(node.started_at), now)}"
        yield f"  {plain(node.label)} (node {node.number}) " + (
            does if lives else "is gone: the next worker gives back its tasks"
        )


def _paused(pause: PauseInfo, rows: list[Row]) -> str:
    what = f"queue {pause.queue}" if pause.action is None else f"action {pause.action}"
    waiting = sum(row.waiting for row in rows if row.queue == pause.queue or row.action == pause.action)
    return f"paused: {what}, {ago(pause.since, datetime.now(UTC))}; {_wait(waiting)}"


def _unserved(rows: list[Row], *, working: bool) -> Iterator[str]:
    """What waits and will go on waiting, as far as can be told from here."""
    waiting = sum(row.waiting for row in rows)
    if waiting and not working:
        yield f"{_wait(waiting)}, and no worker is at work: start one by duly worker -a ..."
    for row in rows:
        if row.declared is False and row.waiting:
            yield f"{_wait(row.waiting)} for {row.action} v{row.version}, which the App does not declare"


def _wait(waiting: int) -> str:
    return f"{count(waiting, 'task')} {'waits' if waiting == 1 else 'wait'}"
