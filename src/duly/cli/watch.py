"""`duly watch`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from duly.app import App
from duly.cli import completing, exits
from duly.cli.following import (
    Following,
    News,
    has_screen,
    on_screen,
    put_ends,
    put_events,
    put_plain,
)
from duly.cli.names import hint
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import say, talk_options
from duly.core import units

MOST = 10_000
"""Tasks of an action that are followed at a time."""

GOING = ("waiting", "running")


@click.command(
    "watch",
    epilog="""\b
Examples:
  duly watch 5b0e8c2a6f13
  duly watch --action report:build           all of them that have not ended
  duly watch 5b0e8c2a6f13 --jsonl | jq .data
\b
Exit codes: that of the worst end: 0 all succeeded, 5 one was cancelled, 6 one expired, 1 one failed; 3 there is no
such task, 124 waited too long, 130 interrupted.
""",
)
@click.argument("task_ids", metavar="ID...", nargs=-1, shell_complete=completing.tasks(GOING))
@click.option(
    "--action",
    metavar="NAME",
    shell_complete=completing.actions,
    help="The tasks of this action, also those that come meanwhile.",
)
@click.option("--timeout", metavar="TIME", help="Watch for so long at most: 30s, 5m.")
@click.option("--jsonl", "as_lines", is_flag=True, help="Print all events, a JSON object a line.")
@app_option
@url_option
@talk_options
def command(
    task_ids: tuple[str, ...],
    action: str | None,
    timeout: str | None,
    as_lines: bool,
    app_name: str | None,
    url: str | None,
) -> exits.Exit:
    """Watch tasks until they have ended.

    On a terminal it shows how far they are, and at the end a line for each; elsewhere a line for each event, from the
    first on. Watching changes nothing: interrupted, it leaves the tasks alone. An ID may be a part, see `duly show
    --help`.
    """
    if bool(task_ids) == (action is not None):
        exits.refuse("what is to be watched?", "either some IDs, or --action NAME")
    seconds = None if timeout is None else units.seconds(timeout, "timeout")
    app = find_store(app_name, url)
    following = _following(app, task_ids, action)
    hint(app, None, action)
    if following is None:
        say(f"no task of {action} waits or runs")
        return exits.Exit.OK
    with _shown(following, as_lines=as_lines) as show:
        for news in following.news(seconds):
            show(news)
    return following.code()


def _following(app: App, task_ids: tuple[str, ...], action: str | None) -> Following | None:
    if action is None:
        ids = [find_task(app, text) for text in task_ids]
        for task_id in ids:
            app.handle(task_id).refresh()  # which raises for one that is not there
        return Following(app, ids)

    began = datetime.now(UTC)

    def come() -> list[str]:
        return [task.id for task in app.tasks(action=action, since=began, first=MOST)]

    ids = [task.id for task in app.tasks(action=action, state=GOING, first=MOST)]
    return Following(app, ids, come) if ids else None


@contextmanager
def _shown(following: Following, *, as_lines: bool) -> Iterator[Callable[[list[News]], None]]:
    if as_lines:
        yield put_events
    elif not (sys.stdout.isatty() and has_screen()):
        yield put_plain
    else:
        with on_screen(following, events=False) as show:
            yield show
        put_ends(following)
