"""Power loss: what SQLite does to its files is kept on a tape, from which the disk of any moment can be made again.

Only what was synced is certain to be on it. Of what was written since, a disk may have brought any sectors to its
platter, in any order; of files made and deleted since their folder was synced, any first ones. As SQLite itself does,
we trust that a sector which is being written harms no neighbour (its "powersafe overwrite").
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import apsw

SECTOR = 512
_WITH_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
"""Files whose making SQLite follows by a sync of their folder, at their own first sync."""


class Step(NamedTuple):
    """One thing done to a file (by its number; a name may be given to a new one), or `told` to somebody."""

    what: str
    file: int = 0
    at: int = 0
    data: Any = None
    folder: bool = False

    def __str__(self) -> str:
        return f"{self.what} {self.file} at {self.at}"


class Tape(apsw.VFS):
    """While it is entered, keeps all that SQLite writes to files of one folder, which is empty at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"tape-{id(self)}", "unix", makedefault=True)
        self.folder = str(folder)
        self.steps: list[Step] = []
        self._numbers: dict[str, int] = {}
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def told(self, promise: Any) -> None:
        """From here on somebody relies on this."""
        self.steps.append(Step("told", data=promise))

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or os.path.dirname(path) != self.folder:
            return apsw.VFSFile("unix", name, flags)
        known = self._numbers.get(path)
        if known is None:
            self._made += 1
            known = self._numbers[path] = self._made
            self.steps.append(Step("make", known, data=os.path.basename(path)))
            return _Taped(self, known, name, flags, fresh=bool(flags[0] & _WITH_FOLDER))
        return _Taped(self, known, name, flags, fresh=False)

    def xDelete(self, path: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(path, syncdir)
        self._numbers.pop(path, None)
        self.steps.append(Step("drop", data=os.path.basename(path), folder=syncdir))


class _Taped(apsw.VFSFile):
    def __init__(self, tape: Tape, number: int, name: Any, flags: list[int], *, fresh: bool) -> None:
        super().__init__("unix", name, flags)
        self._steps, self._number, self._fresh = tape.steps, number, fresh

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._steps.append(Step("write", self._number, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._steps.append(Step("cut", self._number, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._steps.append(Step("sync", self._number, folder=self._fresh))
        self._fresh = False


class _File:
    """What is certain of a file, and what was done to it since."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.since: list[Step] = []

    def sync(self) -> None:
        for step in self.since:
            _do(self.data, step)
        self.since = []

    def left(self, dice: random.Random, share: float) -> bytes:
        data = bytearray(self.data)
        for step in self.since:
            for part in _sectors(step):
                if dice.random() < share:
                    _do(data, part)
        return bytes(data)


def _sectors(step: Step) -> Iterator[Step]:
    if step.what != "write":
        yield step
        return
    start, end = step.at, step.at + len(step.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield step._replace(at=start, data=step.data[start - step.at : stop - step.at])
        start = stop


def _do(data: bytearray, step: Step) -> None:
    if step.what == "cut":
        del data[step.at :]
        return
    if len(data) < step.at:
        data.extend(bytes(step.at - len(data)))
    data[step.at : step.at + len(step.data)] = step.data


class Disk:
    """The disk as the tape is played: `left` tells what would be on it if the power failed now."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._renamed: list[tuple[str, int | None]] = []

    def play(self, step: Step) -> None:
        match step.what:
            case "make":
                self._files[step.file] = _File()
                self._renamed.append((step.data, step.file))
            case "drop":
                self._renamed.append((step.data, None))
            case "write" | "cut":
                self._files[step.file].since.append(step)
            case "sync":
                self._files[step.file].sync()
        if step.folder:
            self._names = self._known(len(self._renamed))
            self._renamed = []

    def _known(self, renamed: int) -> dict[str, int]:
        names = dict(self._names)
        for name, number in self._renamed[:renamed]:
            names.pop(name, None)
            if number is not None:
                names[name] = number
        return names

    def left(self, dice: random.Random) -> dict[str, bytes]:
        """Return the files that are there after a power loss: nothing unsynced, all of it, or what the dice say."""
        share = dice.choice((0.0, 0.0, 0.5, 0.9, 1.0))
        renamed = round(share) * len(self._renamed) if share in (0, 1) else dice.randint(0, len(self._renamed))
        known = self._known(renamed)
        return {name: self._files[number].left(dice, share) for name, number in known.items()}
