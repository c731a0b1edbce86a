"""How far it is: live on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from duly.cli.streams import COLORS, console, is_quiet, say
from duly.listing import TaskInfo

if TYPE_CHECKING:
    from rich.table import Table

    from duly.engine.mover import Progress

LIVE_SECONDS = 0.1
LINE_SECONDS = 2.0

Watch: TypeAlias = Callable[[Callable[[], list[TaskInfo]], bool], None]
"""Called again and again: how the trials stand can be asked, and whether one task more has ended."""


class Counted(NamedTuple):
    """How many are done, how many of these are bad, and how many there are, if that is known."""

    done: int
    bad: int
    total: int | None

    def __str__(self) -> str:
        """Say it in words."""
        total = "" if self.total is None else f" of {self.total:,}"
        return f"{self.done:,}{total} done" + (f", {self.bad:,} of them without success" if self.bad else "")


@contextmanager
def counting(things: str) -> Iterator[Callable[[Counted], None]]:
    """Show how many are done, each time that is called; not on a terminal where the results themselves scroll by."""
    if is_quiet() or sys.stdout.isatty():
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(things) as show:
            yield show
    else:
        yield _counted_lines()


def _counted_lines() -> Callable[[Counted], None]:
    told = time.monotonic()

    def show(counted: Counted) -> None:
        nonlocal told
        if time.monotonic() - told >= LINE_SECONDS:
            told = time.monotonic()
            say(str(counted))

    return show


@contextmanager
def _bar(things: str) -> Iterator[Callable[[Counted], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - only for people

    columns = TextColumn(things), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    bar = Progress(
        *columns, console=console(), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        task, seen = bar.add_task("", total=None), 0.0

        def show(counted: Counted) -> None:
            nonlocal seen
            if time.monotonic() - seen >= LIVE_SECONDS:
                seen = time.monotonic()
                bar.update(task, completed=counted.done, total=counted.total, description=str(counted), refresh=True)

        yield show


@contextmanager
def watching(files: int) -> Iterator[Watch]:
    """Show how far it is."""
    if is_quiet():
        yield lambda *_: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _live(files) as watch:
            yield watch
    else:
        yield _lines(files)


def _lines(files: int) -> Watch:
    done, told = 0, time.monotonic()

    def watch(_: Callable[[], list[TaskInfo]], more: bool) -> None:
        nonlocal done, told
        done += more
        if done == files and more:
            say(f"all {files:,} files are done")
        elif done < files and time.monotonic() - told >= LINE_SECONDS:
            told = time.monotonic()
            say(f"{done:,} of {files:,} files are done")

    return watch


@contextmanager
def _live(files: int) -> Iterator[Watch]:
    from rich.console import Group  # noqa: PLC0415 - only for people
    from rich.live import Live  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    bar = Progress(TextColumn("files"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    task = bar.add_task("files", total=files)
    done, seen = 0, 0.0
    with Live(console=console(), auto_refresh=False, transient=True) as live:

        def watch(trials: Callable[[], list[TaskInfo]], more: bool) -> None:
            nonlocal done, seen
            done += more
            if time.monotonic() - seen >= LIVE_SECONDS:
                seen = time.monotonic()
                bar.update(task, completed=min(done, files))
                live.update(Group(bar, _states(trials())), refresh=True)

        yield watch


def _states(trials: list[TaskInfo]) -> Table:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    for one in trials:
        state = one.state + (f": {one.cause}" if one.cause else "")
        tries = f"try {one.attempts}" if one.attempts else ""
        table.add_row(one.action, tries, Text(state, style=COLORS.get(one.state, "")))
    return table


@contextmanager
def copying() -> Iterator[Callable[[int, int], None]]:
    """Show how much of something is done on a terminal, each time that is called; elsewhere nothing."""
    if is_quiet() or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # noqa: PLC0415 - 50 ms

    with Progress(BarColumn(), DownloadColumn(True), TimeRemainingColumn(), console=console(), transient=True) as bar:
        task = bar.add_task("copying")
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def carrying() -> Iterator[Callable[[Progress], None]]:
    """Show how far a move is: as a bar on a terminal, elsewhere by a line now and then."""
    if is_quiet():
        yield lambda _: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - 50 ms
        from rich.progress import Progress as Bar  # noqa: PLC0415

        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
        with Bar(*columns, console=console(), transient=True) as bar:
            tasks = {what: bar.add_task(what, total=None, visible=False) for what in ("read", "copied", "compared")}
            yield lambda far: bar.update(tasks[far.what], completed=far.done, total=far.of, visible=True)
    else:
        yield _carried_lines()


def _carried_lines() -> Callable[[Progress], None]:
    told = time.monotonic()

    def show(far: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= LINE_SECONDS:
            told = time.monotonic()
            say(f"{far.done:,} of {far.of:,} tasks {far.what}")

    return show
