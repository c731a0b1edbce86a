"""What a node serves: its actions, where their handlers are found, and the lanes they are claimed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from duly.core.action import ActionSpec, Isolation, Policy
from duly.core.keeping import Keep
from duly.ports import Lane, Pause
from duly.wire.runner import Target


class Roster:
    """What a node serves: declared actions with their targets, of these queues (None: all).

    `around` runs around a runner's life. Without `limits` none of a task's limits is held.
    """

    def __init__(
        self,
        actions: Sequence[tuple[ActionSpec, Target]],
        queues: Sequence[str] | None = None,
        around: Sequence[Target] = (),
        *,
        limits: bool = True,
    ) -> None:
        self.actions = [action for action, _ in actions]
        self.targets = [*(target for _, target in actions), *around]
        self.around = list(range(len(actions), len(self.targets)))
        self._queues = None if queues is None else frozenset(queues)
        self._places = {(action.name, action.version): place for place, action in enumerate(self.actions)}
        self._limits = limits
        self._unusable: set[int] = set()
        self._open: tuple[list[int], list[int]] = [], []
        self._paused: tuple[list[int], list[int]] = [], []
        self.shares = any(action.isolation == "shared" for action in self.actions)
        """Whether the attempts of any action run many at a time."""
        self._lanes: dict[int, int] = {}
        self._served: dict[int, tuple[int, Policy, Isolation]] = {}
        self.paused: frozenset[int] = frozenset()
        """The lanes of which nothing is begun, but what owes cleanup."""
        self.closed: frozenset[int] = frozenset()
        """The lanes that are paused, or whose targets cannot be used."""

    def declared(self) -> list[tuple[str, str, int]]:
        """The lanes that its actions have even before a task was submitted: (queue, action, version)."""
        lanes = [(action.queue, action.name, action.version) for action in self.actions]
        return [lane for lane in lanes if self._queues is None or lane[0] in self._queues]

    def keeps(self) -> list[tuple[str, int, Keep]]:
        """For how long the ended tasks of its actions are kept: (action, version, keep)."""
        return [(action.name, action.version, action.keep) for action in self.actions]

    def set_lanes(self, lanes: Iterable[Lane], pauses: Iterable[Pause] = ()) -> None:
        """Take in the lanes there are, and what is paused."""
        lanes, paused = list(lanes), {(pause.kind, pause.name) for pause in pauses}
        self.paused = frozenset(
            lane.number for lane in lanes if ("queue", lane.queue) in paused or ("action", lane.action) in paused
        )
        self._lanes = {
            lane.number: place
            for lane in lanes
            if (self._queues is None or lane.queue in self._queues)
            and (place := self._places.get((lane.action, lane.version))) is not None
        }
        self._served = {
            lane: (place, self.bounds(self.actions[place].policy), self.actions[place].isolation)
            for lane, place in self._lanes.items()
        }
        self._sort()

    def _sort(self) -> None:
        self._open, self._paused = ([], []), ([], [])
        for lane, (place, _, how) in self._served.items():
            if self.usable(place):
                (self._paused if lane in self.paused else self._open)[how == "shared"].append(lane)
        self.closed = frozenset(self._served) - {lane for lanes in self._open for lane in lanes}

    def lose(self, place: int) -> None:
        """A target cannot be used: its lanes are not asked for any more."""
        self._unusable.add(place)
        self._sort()

    def usable(self, place: int) -> bool:
        """Whether a target can be used."""
        return place not in self._unusable

    def lanes(self, *, shared: bool, paused: bool = False) -> list[int]:
        """The lanes to claim from, of actions whose attempts run many at a time, or of the others.

        Of those that are `paused` only what owes cleanup is claimed.
        """
        return (self._paused if paused else self._open)[shared]

    def served(self, lane: int) -> tuple[int, Policy, Isolation]:
        """Which action a lane is of, what bounds its attempts, and how they are isolated."""
        return self._served[lane]

    def policy(self, lane: int) -> Policy:
        """What bounds the attempts of a lane's tasks; the defaults for one that is not served here."""
        place = self._lanes.get(lane)
        return Policy() if place is None else self.actions[place].policy

    def bounds(self, policy: Policy) -> Policy:
        """What bounds an attempt here: nothing does where limits cannot be held."""
        return policy if self._limits else msgspec.structs.replace(policy, timeout=None, memory=None)

    def title(self, place: int) -> str:
        """What people call an action."""
        if place in self.around:
            return "what is to run around a runner's life"
        action = self.actions[place]
        return action.name if action.version == 1 else f"{action.name} v{action.version}"
