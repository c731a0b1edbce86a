"""`duly cancel`."""

from __future__ import annotations

import click

from duly.cli import completing, exits
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import put, put_json, say, talk_options
from duly.core import units

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
\b
Exit codes: 0 cancelled or asked, 1 it had ended before, 3 there is no such task, 124 --wait was too short.
""",
)
@click.argument("task_id", metavar="ID", shell_complete=completing.tasks(("waiting", "running")))
@click.option("--reason", default="cancelled", show_default=True, help="Why; kept with the task.")
@click.option("--wait", metavar="TIME", help="Wait until a running task is stopped, but not longer.")
@click.option("--json", "as_json", is_flag=True, help="Print id and answer as a JSON document.")
@app_option
@url_option
@talk_options
def command(
    task_id: str, reason: str, wait: str | None, as_json: bool, app_name: str | None, url: str | None
) -> exits.Exit:
    """Cancel a task, and print what that did.

    Prints `cancelled` (it had not begun), `asked` (it runs, and is stopped now) or `ended` (it had ended before). A
    cancel that was accepted is final: nothing revives the task. ID may be a part, see `duly show --help`.
    """
    seconds = None if wait is None else units.seconds(wait, "wait")
    app = find_store(app_name, url)
    found = find_task(app, task_id)
    answer = app.cancel(found, reason, seconds)
    if as_json:
        put_json({"id": found, "answer": answer})
    else:
        put(answer)
        say(SAID[answer])
    return exits.Exit.FAILED if answer == "ended" else exits.Exit.OK
