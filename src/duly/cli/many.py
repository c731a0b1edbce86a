"""Many tasks at once: what `duly cancel` and `duly retry` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from duly.app import App
from duly.cli import completing, exits
from duly.cli.names import hint
from duly.cli.streams import put, put_json, say
from duly.cli.tasks import SHOWN, STATES, show_tasks
from duly.cli.words import count
from duly.many import CancelCount, RetryCount, Which

F = TypeVar("F", bound=Callable[..., Any])

MANY = 10
"""More tasks than so many are asked for first, on a terminal."""

_OPTIONS = (
    click.option("--state", "states", multiple=True, metavar="STATE", help=f"May be repeated: {', '.join(STATES)}."),
    click.option("--action", metavar="NAME", shell_complete=completing.actions, help="All tasks of this action."),
    click.option("--queue", metavar="NAME", shell_complete=completing.queues, help="All tasks of this queue."),
    click.option("--since", metavar="WHEN", help="Submitted since: 1h, 7d (ago), or a date like 2026-01-31T09:00."),
    click.option("--due-before", metavar="WHEN", help="Due before: 1h (from now), or a date."),
    click.option("--first", type=click.IntRange(min=1), metavar="N", help="At most so many, the newest."),
    click.option("--all", "all_of_them", is_flag=True, help="All there are, in place of a filter."),
    click.option("--dry-run", is_flag=True, help="List and count them, and do nothing."),
    click.option("-y", "--yes", is_flag=True, help=f"Do not ask on a terminal, as it is for more than {MANY}."),
)


def filter_options(command: F) -> F:
    """Add the options by which many tasks are meant, `--dry-run` and `--yes`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Chosen(NamedTuple):
    """Which tasks are meant, whether to do nothing, and whether to do it without asking."""

    which: Which
    dry_run: bool
    yes: bool


def chosen(
    ids: Sequence[str],
    usual: Sequence[str],
    *,
    states: Sequence[str],
    all_of_them: bool,
    dry_run: bool,
    yes: bool,
    **given: Any,
) -> Chosen | None:
    """Return which tasks are meant by a filter, None if it is those with these ids; ends the command if neither.

    The states that are `usual` are meant if none are named.
    """
    wanted = {name: value for name, value in {"state": states, **given}.items() if value}
    filtered = bool(wanted.keys() - {"first"})
    if ids:
        if wanted or all_of_them or dry_run or yes:
            exits.refuse("an ID means that one task: give IDs alone, or a filter and no ID")
        return None
    if filtered and all_of_them:
        exits.refuse("--all takes all there are: leave it out, or the filter")
    if not (filtered or all_of_them):
        exits.refuse(
            "which tasks?",
            "give an ID, or a filter: --state, --action, --queue, --since, --due-before; "
            f"--all takes all that are {' or '.join(usual)}",
        )
    which: Any = {**wanted, "state": states or tuple(usual)}
    return Chosen(which, dry_run, yes)


def carry_out(
    app: App,
    many: Chosen,
    verb: str,
    counted: Callable[[], CancelCount | RetryCount],
    done: Callable[[], CancelCount | RetryCount],
    *,
    as_json: bool,
) -> exits.Exit:
    """Do it, if it is agreed to, and put the counts on stdout; of a dry run the tasks, too."""
    if many.dry_run:
        return _tell_of_dry_run(app, many.which, verb, counted(), as_json=as_json)
    if not many.yes and sys.stdin.isatty() and sys.stderr.isatty():
        number = sum(counted())
        if number > MANY and not click.confirm(f"{verb} {count(number, 'task')}?", err=True):
            say("nothing was done")
            return exits.Exit.FAILED
    counts = done()
    hint(app, many.which.get("queue"), many.which.get("action"))
    if as_json:
        put_json({"dry_run": False, **counts._asdict()})
        return exits.Exit.OK
    for name, number in counts._asdict().items():
        put(f"{name} {number}")
    if not any(counts):
        say("no task fits")
    return exits.Exit.OK


def _tell_of_dry_run(
    app: App, which: Which, verb: str, counts: CancelCount | RetryCount, *, as_json: bool
) -> exits.Exit:
    hint(app, which.get("queue"), which.get("action"))
    if as_json:
        put_json({"dry_run": True, **counts._asdict()})
        return exits.Exit.OK
    if any(counts):
        most: Any = {**which, "first": which.get("first")}
        show_tasks(app.tasks(**most), SHOWN)
    told = ", ".join(f"{number:,} {name}" for name, number in counts._asdict().items() if number)
    say(f"{verb} would do: {told}; nothing was done" if told else "no task fits")
    return exits.Exit.OK
