"""What may be said of tasks that are submitted, one or many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from duly.app import App
from duly.cli import exits

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--priority", type=click.Choice(["high", "medium", "low"]), help="Else the action's own."),
    click.option("--front", is_flag=True, help="Put it first among those of its priority."),
    click.option(
        "--run-at", metavar="WHEN", help="Not before: 2026-01-31, 2026-01-31T09:00+01:00; local time if not said."
    ),
    click.option("--delay", metavar="TIME", help="Not before so long from now: 90s, 10m, 1h30m, 7d."),
    click.option("--queue", metavar="NAME", help="Else the action's own."),
    click.option("--timeout", metavar="TIME", help="The time limit of an attempt, or none. Else the action's own."),
    click.option("--max-attempts", type=click.IntRange(min=1), metavar="N", help="Else the action's own."),
    click.option("--elsewhere", is_flag=True, help="Store it though the App does not declare the action: others do."),
)


def task_options(command: F) -> F:
    """Add the options of a task, and `--elsewhere`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def said(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if str(given.get("timeout", "")).lower() == "none":
        given["timeout"] = None
    return given


def refuse_undeclared(app: App, action: str) -> None:
    """End with wrong usage if the App does not declare the action."""
    names = {declared.name for declared in app.actions}
    if action in names:
        return
    from difflib import get_close_matches  # noqa: PLC0415 - 4 ms, for slips alone

    near = get_close_matches(action, names, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    declared = f"it has {', '.join(sorted(names))}" if names else "it has none at all"
    exits.refuse(
        f"the App declares no action {action!r}; {declared}",
        f"{meant}with --elsewhere it is stored all the same, and waits for a worker that has it",
    )
