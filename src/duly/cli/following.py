"""Following tasks while they go on: what happens as lines, as JSON or as bars on a terminal, until all have ended."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from duly.app import App
from duly.cli.exits import Exit
from duly.cli.outage import Outage
from duly.cli.show import told
from duly.cli.streams import COLORS, console, flush, is_quiet, plain, put, put_now, say, styled
from duly.cli.words import count, duration, json_text
from duly.core.task import ENDED, State, shown
from duly.errors import WaitTimeout
from duly.history import Event, when
from duly.ports import TaskRow

if TYPE_CHECKING:
    from rich.console import RenderableType

LOOK_SECONDS = 0.1
"""The shortest time between two looks."""

PATIENCE = 1.0
"""The longest time between two looks; it also moves on what is shown of time that passes."""

MOST_SHOWN = 20
"""Tasks that have a line of their own on a terminal."""

MOST_DATA = 40
BAR = 24
WORST = (State.FAILED, State.EXPIRED, State.CANCELLED, State.SUCCEEDED)
CODES = {
    State.SUCCEEDED: Exit.OK,
    State.FAILED: Exit.FAILED,
    State.CANCELLED: Exit.CANCELLED,
    State.EXPIRED: Exit.EXPIRED,
}


class Followed:
    """A task as it was last seen, and the number of the last event that was seen."""

    def __init__(self, row: TaskRow) -> None:
        self.row = row
        self.after = 0
        self.update: dict[str, Any] = {}

    @property
    def state(self) -> str:
        """The name of its state."""
        return shown(self.row.state, self.row.verdict)

    @property
    def over(self) -> bool:
        """Whether it has ended, and all that happened to it was seen."""
        return self.row.state in ENDED and self.after >= self.row.seq

    def see(self, row: TaskRow, events: list[Event]) -> None:
        """Take in how it stands, and what has happened since."""
        self.row = row
        for event in events:
            self.after = event.number
            if event.kind == "start":
                self.update = {}
            elif event.kind == "update" and isinstance(event.data, dict):
                self.update = event.data


class News(NamedTuple):
    """What has happened to one task since the last look."""

    task: Followed
    events: list[Event]


class Following:
    """Tasks that are followed until they have ended; `find_more` tells of others to follow."""

    def __init__(self, app: App, ids: list[str], find_more: Callable[[], list[str]] | None = None) -> None:
        self._app = app
        self._patience = PATIENCE if find_more is None else LOOK_SECONDS  # nobody tells of what is to be found
        self._live: dict[str, int] = dict.fromkeys(ids, 0)
        self._find_more = find_more or list
        self.tasks: dict[str, Followed] = {}
        self._outage = Outage()

    def news(self, seconds: float | None = None) -> Iterator[list[News]]:
        """Yield what happens, also nothing, until all have ended; raises `WaitTimeout` after so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        pause = 0.0
        while self._live:
            left = self._patience if until is None else min(self._patience, until - time.monotonic())
            if left <= 0:
                raise WaitTimeout(f"{count(len(self._live), 'task')} had not ended after {seconds:g} s")
            yield self._look(left if pause else 0.0)
            pause = LOOK_SECONDS
            if self._live:
                time.sleep(min(pause, left))

    def _look(self, patience: float) -> list[News]:
        seen = self._outage.bridge(lambda: (self._app.look_on(self._live, patience), self._find_more()))
        found, more = seen or ([], [])
        news = []
        for row, events in found:
            task = self.tasks.setdefault(row.id, Followed(row))
            task.see(row, events)
            self._live[row.id] = task.after
            if task.over:
                del self._live[row.id]
            if events:
                news.append(News(task, events))
        for task_id in more:
            if task_id not in self.tasks:
                self._live.setdefault(task_id, 0)
        return news

    def code(self) -> Exit:
        """The exit code: that of the worst end."""
        ends = {task.row.state for task in self.tasks.values()}
        return next((CODES[state] for state in WORST if state in ends), Exit.OK)


def say_if_alone(app: App) -> None:
    """Say at once that a task will wait for ever, if nobody is there to work on it."""
    if not any(lives for _, lives in app.nodes()):
        say(f"no worker is at work on {app.place}: what is submitted waits until one is")


# showing -----------------------------------------------------------------------------------------------------------


def put_events(news: list[News]) -> None:
    """Put all that happened on stdout, as JSON lines."""
    put_now(
        {"id": task.row.id, "action": task.row.action, **event._asdict()} for task, events in news for event in events
    )


def lines(news: list[News]) -> Iterator[str]:
    """Return what happened as lines: when, which task, which event, and what it tells."""
    for at, line in sorted((event.at, _line(task, event)) for task, events in news for event in events):
        yield f"{click.style(at.astimezone().strftime('%H:%M:%S.%f')[:-3], dim=True)}  {line}"


def _line(task: Followed, event: Event) -> str:
    what = told_update(event.data) if event.kind == "update" else told(event)
    return f"{task.row.id[-12:]}  {task.row.action}  {_kind(event)}  {what}".rstrip()


def _kind(event: Event) -> str:
    state = {"success": "succeeded", "fail": "failed", "cancel": "cancelled", "start": "running"}.get(event.kind, "")
    return styled(event.kind.ljust(7), state)


def told_update(update: Any) -> str:
    """Return how far a task is, in one line."""
    if not isinstance(update, dict):
        return json_text(update, MOST_DATA)
    fraction = update.get("fraction")
    parts = [
        f"{fraction:.0%}" if isinstance(fraction, int | float) else "",
        plain(str(update["message"])) if update.get("message") is not None else "",
        json_text(update["data"], MOST_DATA) if update.get("data") is not None else "",
    ]
    return "  ".join(part for part in parts if part)


def put_plain(news: list[News]) -> None:
    """Put what happened on stdout, as lines."""
    for line in lines(news):
        put(line)
    flush()


def say_plain(news: list[News]) -> None:
    """Say what happened, as lines."""
    for line in lines(news):
        say(line)


def has_screen() -> bool:
    """Whether stderr is a terminal on which lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def on_screen(following: Following, *, events: bool) -> Iterator[Callable[[list[News]], None]]:
    """Show how far tasks are, on a terminal; above that what happened, if `events` are wanted."""
    if is_quiet():
        yield lambda _: None
        return
    from rich.live import Live  # noqa: PLC0415 - only for people
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    with Live(console=screen, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False) as live:

        def show(news: list[News]) -> None:
            if events:
                for line in lines(_without_updates(news)):
                    screen.print(Text.from_ansi(line))
            live.update(_table(following), refresh=True)

        yield show


def _without_updates(news: list[News]) -> list[News]:
    return [News(task, [event for event in events if event.kind != "update"]) for task, events in news]


def _table(following: Following) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    live = [task for task in following.tasks.values() if not task.over]
    for task in sorted(live, key=lambda task: -task.row.state)[:MOST_SHOWN]:
        table.add_row(
            task.row.id[-12:], task.row.action, Text(task.state, style=COLORS.get(task.state, "")), _bar(task.update),
            Text(told_update(task.update), overflow="ellipsis", no_wrap=True), _since(task.row),
        )  # fmt: skip
    states: dict[str, int] = {}
    for task in following.tasks.values():
        states[task.state] = states.get(task.state, 0) + 1
    told = ", ".join(f"{number:,} {state}" for state, number in states.items())
    return table if len(following.tasks) == 1 else Group(table, Text(told, style="dim"))


def _bar(update: dict[str, Any]) -> RenderableType:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415

    fraction = update.get("fraction")
    return ProgressBar(total=1.0, completed=fraction, width=BAR) if isinstance(fraction, int | float) else ""


def _since(row: TaskRow) -> str:
    if row.state != State.RUNNING or row.started_at is None:
        return ""
    return duration(time.time() - when(row.started_at).timestamp())


def put_ends(following: Following) -> None:
    """Put a line for each task that has ended."""
    for task in following.tasks.values():
        row = task.row
        took = "" if row.started_at is None or row.ended_at is None else duration((row.ended_at - row.started_at) / 1e6)
        put(f"{row.id}  {row.action}  {styled(task.state, task.state)}  {took}".rstrip())


def goes_on(app: App, task_id: str) -> str:
    """Say that a task goes on without who waited for it, and how to stop it."""
    return f"task {task_id} goes on; to stop it: duly cancel --url {shlex.quote(app.place.url)} {task_id}"
