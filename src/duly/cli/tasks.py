"""`duly tasks`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from duly.cli import completing
from duly.cli.names import hint
from duly.cli.places import app_option, find_store, url_option
from duly.cli.streams import put, put_array, put_lines, say, styled, talk_options
from duly.cli.words import ago, aligned, duration, moment
from duly.core.task import State
from duly.listing import TaskInfo

SHOWN = 50
"""Tasks in a table, unless said otherwise."""

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
@click.option("--action", metavar="NAME", shell_complete=completing.actions)
@click.option("--queue", metavar="NAME", shell_complete=completing.queues)
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
    most = first if as_json or as_lines else (first or SHOWN) + 1
    found = app.tasks(state=states or None, first=most, **wanted)
    if as_lines:
        put_lines(map(_as_data, found))
    elif as_json:
        put_array(map(_as_data, found))
    else:
        show_tasks(found, first or SHOWN)
    hint(app, wanted["queue"], wanted["action"])


def _as_data(task: TaskInfo) -> dict[str, Any]:
    return task._asdict()


def show_tasks(found: Iterator[TaskInfo], most: int) -> None:
    """Put a table of tasks on stdout, of no more than so many."""
    tasks = list(islice(found, most))
    if not tasks:
        say("no tasks")
        return
    columns = _for_eyes if sys.stdout.isatty() else _in_full
    head, *rows = aligned([HEAD, *columns(tasks)], right=(4,))
    put(click.style("  ".join(head).rstrip(), bold=True))
    for row, task in zip(rows, tasks, strict=True):
        row[3] = styled(row[3], task.state)
        put("  ".join(row).rstrip())
    if next(found, None) is not None:
        say(f"these are the first {most}; --first N shows more")


def _in_full(tasks: list[TaskInfo]) -> Iterator[tuple[str, ...]]:
    for task in tasks:
        due = f"due {moment(task.run_at)}" if task.state == "scheduled" else _took(task)
        yield task.id, task.action, task.queue, _state(task), str(task.attempts), moment(task.submitted_at), due


def _for_eyes(tasks: list[TaskInfo]) -> Iterator[tuple[str, ...]]:
    """What fits a terminal: the end of ids, which `duly show` takes, and times from now."""
    now = datetime.now(UTC)
    for task in tasks:
        due = f"due {ago(task.run_at, now)}" if task.state == "scheduled" and task.run_at is not None else _took(task)
        since = ago(task.submitted_at, now)
        yield task.id[-12:], task.action, task.queue, _state(task), str(task.attempts), since, due


def _state(task: TaskInfo) -> str:
    why = "paused" if task.paused_since is not None else task.cause if task.cause != "cancel" else None
    return task.state + (f" ({why})" if why else "")


def _took(task: TaskInfo) -> str:
    """How long it took, from its first beginning to its end."""
    if task.started_at is None or task.ended_at is None:
        return ""
    return duration((task.ended_at - task.started_at).total_seconds())
