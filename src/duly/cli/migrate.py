"""`duly migrate`."""

from __future__ import annotations

import click

from duly.cli.places import app_option, find_store, url_option
from duly.cli.streams import put, put_json, say, talk_options
from duly.cli.words import lines, moment
from duly.history import when
from duly.ports import Step


@click.command(
    "migrate",
    epilog="""\b
Examples:
  duly migrate --dry-run
  duly migrate --url sqlite:////var/lib/shop/duly.db
\b
Exit codes: 0 done, 4 the store cannot be used, or a newer duly has changed it in a way that this one cannot work with.
""",
)
@click.option("--dry-run", is_flag=True, help="Show the steps, and take none.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as a JSON document.")
@app_option
@url_option
@talk_options
def command(dry_run: bool, as_json: bool, app_name: str | None, url: str | None) -> None:
    """Bring the store's schema up to date, and print its steps.

    Whatever opens a store does that, too: this is to see what will be done, and to do it at a moment of your choice.
    All steps are taken in one transaction. One that expands leaves the store usable by the last release; one that
    contracts does not, and comes a release later.
    """
    app = find_store(app_name, url, new=True)  # on a server this is how a role makes it that workers do not have
    todo = [step for step in app.migrations() if step.applied_at is None] if dry_run else app.migrate()
    steps = app.migrations()
    if as_json:
        put_json({"steps": [_as_data(step) for step in steps], "pending": len(todo) if dry_run else 0})
        return
    for line in lines([_row(step) for step in steps]):
        put(line)
    if not todo:
        say("up to date")
    elif dry_run:
        say(f"{len(todo)} to be taken: by duly migrate, or by whatever opens the store next")


def _row(step: Step) -> tuple[str, ...]:
    taken = "pending" if step.applied_at is None else moment(when(step.applied_at))
    return f"{step.number:04}", step.kind, step.name, taken


def _as_data(step: Step) -> dict[str, object]:
    return {**step._asdict(), "applied_at": None if step.applied_at is None else when(step.applied_at)}
