"""Who waits for tasks: one table of all these tasks, so that one look tells how each of them stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from duly.core.task import ENDED
from duly.ports import UNKNOWN, Glance, Store

Done: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called with the result or the error in whichever thread did the job; must be quick and not raise."""

OVER = (*ENDED, UNKNOWN)
"""States of tasks that nothing more is heard of."""

_UNSEEN = Glance("")
"""Other than any glance at a task."""


class Wait:
    """Somebody who waits for news of any of these tasks; of each the number of the last event that was seen."""

    def __init__(self, seen: Mapping[str, int], done: Done) -> None:
        self.seen = dict(seen)
        self.done = done

    def told(self, glance: Glance) -> bool:
        """Tell how a task stands, if that is news: it has a new event, has ended, or there is none."""
        if glance.seq <= self.seen[glance.id] and glance.state not in OVER:
            return False
        self.done(glance, None)
        return True


class Waits:
    """All who wait for tasks, by task; as many tasks long as somebody waits for."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, wait: Wait, glances: Iterable[Glance]) -> None:
        """Have it told of what comes after these glances at its tasks."""
        for glance in glances:
            self._watched.setdefault(glance.id, _Watched(glance)).waits.append(wait)

    def add_unseen(self, wait: Wait) -> None:
        """Have it told at the next look, and of what comes after: how its tasks stand could not be seen yet."""
        for task_id in wait.seen:
            watched = self._watched.setdefault(task_id, _Watched(_UNSEEN))
            watched.glance = _UNSEEN
            watched.waits.append(wait)

    def forget(self, wait: Wait) -> None:
        """Tell it no more."""
        for task_id in wait.seen:
            watched = self._watched.get(task_id)
            if watched is not None:
                watched.waits = [other for other in watched.waits if other is not wait]
                if not watched.waits:
                    del self._watched[task_id]

    def tell(self, store: Store) -> None:
        """Look at all tasks, and tell who waits for one that stands otherwise than at the last look."""
        for glance in glances(store, self._watched):
            watched = self._watched.get(glance.id)
            if watched is None or watched.glance == glance:
                continue
            watched.glance = glance
            for wait in [wait for wait in watched.waits if wait.told(glance)]:
                self.forget(wait)

    def fail(self, error: BaseException) -> None:
        """Tell all who wait that it is in vain."""
        watched, self._watched = self._watched, {}
        for wait in {wait for task in watched.values() for wait in task.waits}:
            wait.done(None, error)


class _Watched:
    """A task that somebody waits for: how it stood at the last look, and who waits for it."""

    __slots__ = ("glance", "waits")

    def __init__(self, glance: Glance) -> None:
        self.glance = glance
        self.waits: list[Wait] = []


def glances(store: Store, ids: Iterable[str]) -> list[Glance]:
    """Return how these tasks stand, each of them once."""
    found = {glance.id: glance for glance in store.glance(list(ids))}
    return [found.get(task_id) or Glance(task_id) for task_id in ids]
