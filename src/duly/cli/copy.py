"""`duly copy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from duly.cli import exits
from duly.cli.places import app_option, find_store, url_option
from duly.cli.progress import carrying
from duly.cli.streams import plain, put, put_json, say, talk_options
from duly.cli.words import duration, lines
from duly.errors import StoreError

if TYPE_CHECKING:
    from duly.app import App
    from duly.engine.mover import Carried, Progress


@click.command(
    "copy",
    epilog="""\b
Examples:
  duly copy --to postgresql://db.example.com/shop --dry-run
  duly copy --to postgresql://db.example.com/shop
  duly copy --url postgresql://db.example.com/shop --to sqlite:////var/lib/shop/duly.db
  duly copy --reopen
\b
Exit codes: 0 done, 2 wrong usage, or the new store is not empty, 4 a store cannot be used, or somebody works on it.
""",
)
@click.option("--to", metavar="URL", help="Where it is to go: an empty store, or one that is still to be made.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied, or what stands against it; change nothing.")
@click.option("--reopen", is_flag=True, help="Have the store take tasks again that was closed by a copy.")
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as a JSON document.")
@app_option
@url_option
@talk_options
def command(to: str | None, dry_run: bool, reopen: bool, as_json: bool, app_name: str | None, url: str | None) -> None:
    """Move a stopped store to another place, also of another kind: all tasks, histories, pauses and large values.

    No worker may be on it. While it lasts neither store can be written to by anybody else. At the end all is compared,
    and the new one is opened; the old one stays closed, and tells whoever comes where it went. Interrupted, say the
    same again: it goes on. What a killed worker held is begun anew by the first one at the new place.
    """
    if reopen == (to is not None) or (reopen and (dry_run or as_json)):
        exits.refuse("say either --to URL, or --reopen alone")
    app = find_store(app_name, url)
    if to is None:
        say("open again" if app.reopen() else "it was not closed")
        return
    carried = _carry(app, to, dry_run=dry_run)
    if as_json:
        put_json({**carried._asdict(), "tables": [table._asdict() for table in carried.tables], "dry_run": dry_run})
    else:
        _tell(carried, dry_run=dry_run)


def _carry(app: App, to: str, *, dry_run: bool) -> Carried:
    """Copy, and show how far it is; if that ends in the middle, say how it goes on."""
    begun = False
    with carrying() as show:

        def watch(progress: Progress) -> None:
            nonlocal begun
            begun = not dry_run
            show(progress)

        try:
            return app.copy_to(to, dry_run=dry_run, watch=watch)
        except (KeyboardInterrupt, StoreError) as error:
            from duly.engine.mover import CopyInVain  # noqa: PLC0415 - it is there by now

            if begun and not isinstance(error, CopyInVain):
                say("both stores stay closed: the same command goes on, `duly copy --reopen` gives it up")
            raise


def _tell(carried: Carried, *, dry_run: bool) -> None:
    for line in lines([(table.name, f"{table.rows:,}", f"sha256 {table.checksum}") for table in carried.tables]):
        put(line)
    if dry_run:
        say(f"nothing stands against moving that to {plain(carried.target)}")
    else:
        say(f"moved to {plain(carried.target)}, and compared, in {duration(carried.seconds)}; name that from now on")
