"""What the store says that a node holds, compared with what it has: neither may be without the other for long.

They differ for a moment with each exchange, since nobody stops for the comparison. What differs twice in a row, in the
same way, is a fault: of this node, or of whoever took its locks away and rescued what it holds while it lives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from duly.core.task import Held

Right: TypeAlias = tuple[int, int]
"""The key of a task and the number of its claim."""


class Ledger:
    """Compares again and again."""

    def __init__(self) -> None:
        self._forgotten: set[Right] = set()
        self._lost: set[Right] = set()

    def compare(self, stored: Iterable[Held], here: set[Right], told: set[Right]) -> tuple[list[Held], set[Right]]:
        """Return what nobody here knows of, and what is here and another's: each if it was so the last time, too.

        `here` is what the node has, `told` what it has only to tell the store of.
        """
        held = {(task.key, task.claim): task for task in stored}
        forgotten, lost = held.keys() - here - told, here - told - held.keys()
        confirmed = [held[right] for right in forgotten & self._forgotten], lost & self._lost
        self._forgotten, self._lost = forgotten, lost
        return confirmed
