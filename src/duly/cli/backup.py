"""`duly backup`."""

from __future__ import annotations

import click

from duly.cli.places import app_option, find_store, url_option
from duly.cli.progress import copying
from duly.cli.streams import plain, put, put_json, say, talk_options
from duly.cli.words import duration
from duly.ports import Copied

PAGE = 4096
"""Bytes of a page."""


@click.command(
    "backup",
    epilog="""\b
Examples:
  duly backup /backup/duly.db
  duly backup -a shop:app "duly-$(date -I).db"
  duly backup --url sqlite:////var/lib/shop/duly.db latest.db --force --json
\b
Exit codes: 0 done, 2 there is such a file, or wrong usage, 4 the store cannot be read, or the file not written.
""",
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as a JSON document.")
@app_option
@url_option
@talk_options
def command(file: str, force: bool, as_json: bool, app_name: str | None, url: str | None) -> None:
    """Copy the store into FILE, while others work, and print its path.

    The copy is a store by itself, as of the moment at which the copying began; it is checked, and on the disk for good,
    before it gets its name. Nobody who writes has to wait. To restore it, use it: see docs/operations.md.
    """
    app = find_store(app_name, url)
    with copying() as show:

        def watch(copied: Copied) -> None:
            show(copied.pages * PAGE, copied.of * PAGE)

        backup = app.backup(file, force=force, watch=watch)
    if as_json:
        put_json(backup._asdict())
    else:
        put(plain(backup.path))
        say(f"{backup.size / 2**20:,.1f} MiB, checked, in {duration(backup.seconds)}")
