"""`duly cancel`."""

from __future__ import annotations

from typing import Any

import click

from duly.app import App
from duly.cli import completing, exits, many
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import put, put_json, say, talk_options
from duly.core import units

USUAL = ("waiting", "running")

SAID = {
    "cancelled": "it had not begun, and never will",
    "asked": "it runs, and is stopped now",
    "ended": "it had ended before: nothing was changed",
}


@click.command(
    "cancel",
    epilog="""\b
Examples:
  duly cancel 0198a3c1-7b2e-7c44-9d1f-5b0e8c2a6f13
  duly cancel 5b0e8c2a6f13 --reason "sent by hand" --wait 30s
  duly cancel --state ready --action email:send --since 1d --dry-run
\b
Exit codes: 0 cancelled or asked, 1 it had ended before, 3 there is no such task, 124 --wait was too short.
""",
)
@click.argument("task_id", metavar="[ID]", required=False, shell_complete=completing.tasks(USUAL))
@many.filter_options
@click.option("--reason", default="cancelled", show_default=True, help="Why; kept with the task.")
@click.option("--wait", metavar="TIME", help="Wait until a running task is stopped, but not longer.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document: id and answer, or the counts.")
@app_option
@url_option
@talk_options
def command(
    task_id: str | None,
    reason: str,
    wait: str | None,
    as_json: bool,
    app_name: str | None,
    url: str | None,
    **options: Any,
) -> exits.Exit:
    """Cancel a task, or all that fit a filter, and print what that did.

    Prints `cancelled` (it had not begun), `asked` (it runs, and is stopped now) or `ended` (it had ended before). A
    cancel that was accepted is final: nothing revives the task. ID may be a part, see `duly show --help`.

    Without ID all are meant that fit the filter and have not ended, a thousand at a time: how many were cancelled and
    how many asked is printed. On a terminal it asks first if they are many. What is submitted meanwhile stays.
    """
    seconds = None if wait is None else units.seconds(wait, "wait")
    meant = many.chosen([] if task_id is None else [task_id], USUAL, **options)
    app = find_store(app_name, url)
    if meant is not None:
        which = meant.which
        return many.carry_out(
            app,
            meant,
            "cancel",
            lambda: app.cancel(dry_run=True, **which),
            lambda: app.cancel(reason=reason, wait=seconds, **which),
            as_json=as_json,
        )
    return _cancel(app, task_id or "", reason, seconds, as_json=as_json)


def _cancel(app: App, task_id: str, reason: str, seconds: float | None, *, as_json: bool) -> exits.Exit:
    found = find_task(app, task_id)
    answer = app.cancel(found, reason, seconds)
    if as_json:
        put_json({"id": found, "answer": answer})
    else:
        put(answer)
        say(SAID[answer])
    return exits.Exit.FAILED if answer == "ended" else exits.Exit.OK
