"""`duly pause`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from duly.cli import completing, pausing
from duly.cli.places import app_option, url_option
from duly.cli.streams import say, talk_options
from duly.cli.words import ago


@click.command(
    "pause",
    epilog="""\b
Examples:
  duly pause email:send                      no worker begins a task of this action any more
  duly pause --queue mail
  duly resume email:send
""",
)
@click.argument("action", required=False, shell_complete=completing.actions)
@click.option("--queue", metavar="NAME", shell_complete=completing.queues, help="All tasks of this queue.")
@click.option("--elsewhere", is_flag=True, help="Pause it though nobody has heard of it: it is to come.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document: what is paused, and since when.")
@app_option
@url_option
@talk_options
def command(
    action: str | None, queue: str | None, elsewhere: bool, as_json: bool, app_name: str | None, url: str | None
) -> None:
    """Have no task of an action, or of a queue, begun until it is resumed.

    It holds for all workers, also those that start later. What runs goes on, and can be cancelled; tasks are submitted
    and fall due as always. Prints `paused`, or `unchanged` if it was paused before.
    """
    pausing.check_one(queue, action)
    store, app = pausing.find(app_name, url)
    if not elsewhere:
        cure = "with --elsewhere it is paused all the same, for when there is one"
        pausing.refuse_unknown(store, app, queue, action, cure)
    changed = store.pause(queue=queue, action=action)
    pause = pausing.pause_of(store, queue, action)
    pausing.tell(queue, action, pause, changed=changed, as_json=as_json)
    if changed:
        say("what runs goes on; nothing more of it is begun by any worker within one poll (1 s unless set)")
    elif pause is not None:
        say(f"it was paused {ago(pause.since, datetime.now(UTC))}")
