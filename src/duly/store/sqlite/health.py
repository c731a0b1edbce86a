"""What `duly doctor` says of a file."""

from __future__ import annotations

import os

import apsw

from duly.ports import Finding


def examine(connection: apsw.Connection, path: str) -> list[Finding]:
    """Look at the file's health; reads all of it."""
    damages = _damages(connection)
    size = os.path.getsize(path) if path != ":memory:" else 0
    version = f"SQLite {apsw.sqlite_lib_version()} (bundled with apsw), free of the WAL-reset bug"
    return [
        Finding("sqlite", ok=True, text=version),
        Finding("integrity", ok=not damages, text="; ".join(damages[:5]) or "integrity check passed"),
        Finding("size", ok=True, text=f"{size / 2**20:,.1f} MiB in {path}"),
    ]


def _damages(connection: apsw.Connection) -> list[str]:
    try:
        found = [str(text) for (text,) in connection.execute("pragma integrity_check")]
    except apsw.CorruptError as error:
        return [str(error)]
    return [] if found == ["ok"] else found
