"""`duly retry`."""

from __future__ import annotations

import click

from duly.app import App
from duly.cli import completing, exits
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import put, put_lines, talk_options
from duly.errors import DulyError, RetryRefused, TaskNotFound


@click.command(
    "retry",
    epilog="""\b
Examples:
  duly retry 5b0e8c2a6f13
  duly tasks --state failed --since 1h --jsonl | jq -r .id | xargs duly retry
\b
Exit codes: 0 all are tried again, 1 one is in a state that cannot be retried, 3 there is no such task.
""",
)
@click.argument(
    "task_ids", metavar="ID...", nargs=-1, required=True, shell_complete=completing.tasks(("failed", "scheduled"))
)
@click.option("--jsonl", "as_lines", is_flag=True, help="Print a JSON object a task: its id, answer and state.")
@app_option
@url_option
@talk_options
def command(task_ids: tuple[str, ...], as_lines: bool, app_name: str | None, url: str | None) -> exits.Exit:
    """Have failed tasks tried again, with all their attempts anew.

    Prints the id of each task that is ready now. One that waits for its date is due now. Any other state is refused,
    and why is said; the other tasks are retried all the same. An ID may be a part, see `duly show --help`.
    """
    app = find_store(app_name, url)
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
