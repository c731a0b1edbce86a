"""`duly prune`."""

from __future__ import annotations

import click

from duly.cli.places import app_option, find_store, url_option
from duly.cli.streams import plain, put, put_json, say, talk_options
from duly.cli.words import count


@click.command(
    "prune",
    epilog="""\b
Examples:
  duly prune --dry-run
  duly prune -a shop:app
\b
Exit codes: 0 done, 4 the store cannot be used.
""",
)
@click.option("--dry-run", is_flag=True, help="Count what would leave, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print how many as a JSON document.")
@app_option
@url_option
@talk_options
def command(dry_run: bool, as_json: bool, app_name: str | None, url: str | None) -> None:
    """Remove what has ended long enough ago, as `keep` and `keep_failed` say.

    Workers do that by themselves; this does it now. Tasks whose time is over are emptied, and cannot be read any more;
    their ids stay for another hour, so that a submit that is repeated does not run them twice, then they are removed.
    The file keeps its size: what became free in it is used again.

    For how long tasks of an action are kept its workers have said; where none has, the settings given here count.
    """
    app = find_store(app_name, url)
    tidied = app.prune(dry_run=dry_run)
    if as_json:
        put_json(tidied._asdict())
    else:
        for (action, version), keep in app.kept().items():
            say(f"{plain(action)}{'' if version == 1 else f' v{version}'}: kept for {keep}, as its worker said")
        would = "would be " if dry_run else ""
        put(f"{count(tidied.emptied, 'task')} {would}emptied, {count(tidied.removed, 'id')} {would}removed")
