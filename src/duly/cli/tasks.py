"""`duly tasks`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from duly.app import TaskInfo
from duly.cli.places import app_option, find_store, url_option
from duly.cli.streams import COLORS, console, put, put_array, put_lines, say, styled, talk_options
from duly.cli.words import duration, moment
from duly.core.task import State

SHOWN = 50
"""Tasks in a table, unless said otherwise."""

WIDE = 120
"""Columns of a terminal from which on there is room for whole ids."""

STATES = [*(state.name.lower() for state in State), "waiting", "ended"]
HEAD = ("id", "action", "queue", "state", "attempts", "submitted", "took")


@click.command(
    "tasks",
    epilog="""\b
Examples:
  duly tasks --state failed --since 1h
  duly tasks --action email:send --first 200
  duly tasks --state scheduled --by date     what comes next
  duly tasks --jsonl | jq -r 'select(.attempts > 2) | .id'
""",
)
@app_option
@url_option
@click.option("--state", "states", multiple=True, metavar="STATE", help=f"May be repeated: {', '.join(STATES)}.")
@click.option("--action", metavar="NAME")
@click.option("--queue", metavar="NAME")
@click.option("--since", metavar="WHEN", help="Submitted since: 1h, 7d (ago), or a date like 2026-01-31T09:00.")
@click.option(
    "--first", type=click.IntRange(min=1), metavar="N", help=f"At most so many; a table has {SHOWN} if not said."
)
@click.option(
    "--by", type=click.Choice(["newest", "date"]), default="newest", show_default=True,
    help="newest: those submitted last. date: those that have a date to run at, the earliest.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.option("--jsonl", "as_lines", is_flag=True, help="Print a JSON object a line.")
@talk_options
def command(
    app_name: str | None,
    url: str | None,
    states: tuple[str, ...],
    first: int | None,
    as_json: bool,
    as_lines: bool,
    **wanted: Any,
) -> None:
    """List tasks: a table for people; with --json or --jsonl all that fit, for programs.

    Needs no App, only a store: the App's, or --url, DULY_URL, `url` in pyproject.toml, at last ./duly.db.
    """
    app = find_store(app_name, url)
    most = first if first or as_json or as_lines else SHOWN + 1
    found = app.tasks(state=states or None, first=most, **wanted)
    if as_lines:
        put_lines(map(_as_data, found))
    elif as_json:
        put_array(map(_as_data, found))
    else:
        _show(found, first or SHOWN)


def _as_data(task: TaskInfo) -> dict[str, Any]:
    return task._asdict()


def _show(found: Iterator[TaskInfo], most: int) -> None:
    tasks = list(islice(found, most))
    if not tasks:
        say("no tasks")
    elif sys.stdout.isatty():
        _show_table(tasks)
    else:
        _show_columns(tasks)
    if next(found, None) is not None:
        say(f"these are the first {most}; --first N shows more")


def _cells(task: TaskInfo) -> tuple[str, ...]:
    cause = f" ({task.cause})" if task.cause and task.cause != "cancel" else ""
    took = "" if task.started_at is None or task.ended_at is None else duration_of(task)
    when = moment(task.submitted_at)
    if task.state == "scheduled" and task.run_at is not None:
        took = f"at {moment(task.run_at)}"
    return task.id, task.action, task.queue, task.state + cause, str(task.attempts), when, took


def duration_of(task: TaskInfo) -> str:
    """Say how long a task took, from its first beginning to its end."""
    assert task.started_at is not None
    assert task.ended_at is not None
    return duration((task.ended_at - task.started_at).total_seconds())


def _show_columns(tasks: list[TaskInfo]) -> None:
    rows = [HEAD, *map(_cells, tasks)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    for row, state in zip(rows, ["", *(task.state for task in tasks)], strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[3] = styled(cells[3], state)
        put("  ".join(cells).rstrip())


def _show_table(tasks: list[TaskInfo]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    wide = shutil.get_terminal_size().columns >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in HEAD:
        table.add_column(
            name, justify="right" if name in ("attempts", "took") else "left", no_wrap=name in ("id", "state")
        )
    for task in tasks:
        key, action, queue, state, *rest = _cells(task)
        table.add_row(key if wide else key[-12:], action, queue, Text(state, style=COLORS.get(task.state, "")), *rest)
    console().print(table)
