"""The revisions of duly that are measured: this one, and another out of the history."""

from __future__ import annotations

import compileall
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Side(NamedTuple):
    """One revision: what it is called, and the folder that its package lies in."""

    name: str
    source: Path

    def environment(self, url: str) -> dict[str, str]:
        """The environment in which a Python process finds this revision, the benchmark's own modules and a store.

        Nothing else of how Python is set up here: without its bytecode, say, each start would take much longer.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PYTHON"))}
        return {**kept, "PYTHONPATH": f"{self.source}{os.pathsep}{ROOT}", "DULY_URL": url}


def this() -> Side:
    """The code as it lies here."""
    return Side("duly", ROOT / "src")


@contextmanager
def other(ref: str) -> Iterator[Side]:
    """Unpack the package as it was at a revision; the requirements stay those of this one."""
    packed = subprocess.run(["git", "archive", "--format=zip", ref, "src"], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        sys.exit(f"{ref}: {packed.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="duly-bench-other-") as folder:
        with zipfile.ZipFile(io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder)
        compileall.compile_dir(folder, quiet=2)  # or its first process alone would have to
        yield Side(f"duly at {ref}", Path(folder) / "src")
