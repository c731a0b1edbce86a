"""What a node would like to claim, exchange by exchange: of which lanes, how many, and when suspects come first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from duly.engine.floor import Floor, Room
from duly.engine.roster import Roster
from duly.ports import Want

SUSPECT_TURN = 4
BUSY_SUSPECT_TURN = 16
"""One claim in so many asks for suspects first; where there is always other work, that has to wait then."""


class More(NamedTuple):
    """Whether there may be more to claim of what runs one at a time, and of what runs many at a time."""

    alone: bool
    shared: bool


class Wants:
    """What one node wants. `beyond` is how many it claims of what is more urgent than all that waits here."""

    def __init__(self, floor: Floor, roster: Roster, beyond: int) -> None:
        self._floor = floor
        self._roster = roster
        self._beyond = beyond
        self._turns = 0
        self._more = More(alone=False, shared=False)

    def more(self, room: Room) -> bool:
        """Whether there may be more, and room for it."""
        return bool((self._more.alone and room.alone) or (self._more.shared and room.shared))

    def next(self, room: Room) -> list[Want]:
        """Return what to ask for now; nothing before runners can take it, and beside a suspect."""
        self._more = More(not room.alone, not room.shared)  # what is not asked for may be there when there is room
        if self._floor.suspects.alone or not self._floor.prepared:
            return []
        self._turns += 1
        alone, shared = self._roster.lanes(shared=False), self._roster.lanes(shared=True)
        waiting = self._floor.waiting.alone
        beyond = self._beyond if len(waiting) else 0
        wants = [Want(alone, room.alone, beyond, waiting.worst())] if alone else []
        if room.shared:
            wants.append(Want(shared, room.shared))
        if self._roster.paused:
            wants += self._cleanups(room)
        suspect = Want(alone + shared, 1, suspect=True)
        if self._turns % (SUSPECT_TURN if room.idle else BUSY_SUSPECT_TURN) == 0:
            return [suspect, *wants]
        return [*wants, suspect] if room.idle else wants

    def _cleanups(self, room: Room) -> Iterator[Want]:
        """What is claimed of paused lanes all the same."""
        alone, shared = (self._roster.lanes(shared=shared, paused=True) for shared in (False, True))
        if alone and room.alone:
            yield Want(alone, room.alone, cleanup=True)
        if shared and room.shared:
            yield Want(shared, room.shared, cleanup=True)
        if room.idle:
            yield Want(alone + shared, 1, suspect=True, cleanup=True)

    def claimed(self, shared: set[bool]) -> None:
        """Of what runs alone, of what is shared, or of both some was claimed: there may be more of that."""
        self._more = More(self._more.alone or False in shared, self._more.shared or True in shared)
