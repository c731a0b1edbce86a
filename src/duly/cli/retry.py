"""`duly retry`."""

from __future__ import annotations

from typing import Any

import click

from duly.app import App
from duly.cli import completing, exits, many
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import put, put_lines, talk_options
from duly.errors import DulyError, RetryRefused, TaskNotFound


@click.command(
    "retry",
    epilog="""\b
Examples:
  duly retry 5b0e8c2a6f13
  duly retry --action email:send --since 1h
  duly retry --state scheduled --queue mail --dry-run
\b
Exit codes: 0 all are tried again, 1 one is in a state that cannot be retried, 3 there is no such task.
""",
)
@click.argument("task_ids", metavar="[ID]...", nargs=-1, shell_complete=completing.tasks(("failed", "scheduled")))
@many.filter_options
@click.option("--json", "as_json", is_flag=True, help="With a filter: print the counts as a JSON document.")
@click.option(
    "--jsonl", "as_lines", is_flag=True, help="With IDs: print a JSON object a task, its id, answer and state."
)
@app_option
@url_option
@talk_options
def command(
    task_ids: tuple[str, ...],
    as_json: bool,
    as_lines: bool,
    app_name: str | None,
    url: str | None,
    **options: Any,
) -> exits.Exit:
    """Have failed tasks tried again, with all their attempts anew; by their IDs, or all that fit a filter.

    Prints the id of each task that is ready now. One that waits for its date is due now. Any other state is refused,
    and why is said; the other tasks are retried all the same. An ID may be a part, see `duly show --help`.

    With a filter what failed is meant, unless --state says scheduled; it goes a thousand at a time, and how many were
    retried is printed. On a terminal it asks first if they are many.
    """
    meant = many.chosen(task_ids, ("failed",), **options)
    if as_json and meant is None:
        exits.refuse("--json prints the counts of a filter; of IDs --jsonl prints a line each")
    if as_lines and meant is not None:
        exits.refuse("--jsonl prints a line for each ID; the counts of a filter are printed by --json")
    app = find_store(app_name, url)
    if meant is not None:
        which = meant.which
        return many.carry_out(
            app,
            meant,
            "retry",
            lambda: app.retry(dry_run=True, **which),
            lambda: app.retry(**which),
            as_json=as_json,
        )
    worst = exits.Exit.OK
    for text in task_ids:
        code = _retry(app, text, as_lines=as_lines)
        worst = max(worst, code)
    return worst


def _retry(app: App, text: str, *, as_lines: bool) -> exits.Exit:
    try:
        handle = app.retry(find_task(app, text))
    except (RetryRefused, TaskNotFound) as error:
        _refused(text, error, as_lines=as_lines)
        return exits.code_of(error)
    if as_lines:
        put_lines([{"id": handle.id, "answer": "retried", "state": handle.state}])
    else:
        put(handle.id)
    return exits.Exit.OK


def _refused(text: str, error: DulyError, *, as_lines: bool) -> None:
    exits.tell(str(error), *getattr(error, "__notes__", ()))
    if as_lines and isinstance(error, RetryRefused):
        put_lines([{"id": error.task_id, "answer": "refused", "state": error.state}])
    elif as_lines:
        put_lines([{"id": text, "answer": "unknown", "state": None}])
