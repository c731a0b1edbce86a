"""`duly resume`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from duly.cli import completing, pausing
from duly.cli.names import called
from duly.cli.places import app_option, url_option
from duly.cli.streams import say, talk_options
from duly.cli.words import duration


@click.command(
    "resume",
    epilog="""\b
Examples:
  duly resume email:send
  duly resume --queue mail
""",
)
@click.argument("action", required=False, shell_complete=completing.paused("action"))
@click.option("--queue", metavar="NAME", shell_complete=completing.paused("queue"), help="All tasks of this queue.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document: whether it is paused still.")
@app_option
@url_option
@talk_options
def command(action: str | None, queue: str | None, as_json: bool, app_name: str | None, url: str | None) -> None:
    """Have the tasks of an action, or of a queue, that were paused begun again.

    Prints `resumed`, or `unchanged` if it was not paused. An action whose queue is paused, too, goes on waiting.
    """
    pausing.check_one(queue, action)
    store, app = pausing.find(app_name, url)
    pausing.refuse_unknown(store, app, queue, action)
    pause = pausing.pause_of(store, queue, action)
    changed = store.resume(queue=queue, action=action)
    pausing.tell(queue, action, None, changed=changed, as_json=as_json)
    if changed and pause is not None:
        say(f"it was paused for {duration((datetime.now(UTC) - pause.since).total_seconds())}")
    others = [called(one.queue, one.action) for one in store.paused()]
    if others:
        say(f"paused still: {', '.join(others)}")
