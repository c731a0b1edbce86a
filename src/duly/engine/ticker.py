"""The one timer of a node: what is to be done when."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Ticker(Generic[K]):
    """A few named moments, in seconds of the monotonic clock. Setting one again replaces it."""

    def __init__(self) -> None:
        self._moments: dict[K, float] = {}

    def set(self, name: K, at: float) -> None:
        """Let this name fall due at this moment."""
        self._moments[name] = at

    def soonest(self, name: K, at: float) -> None:
        """Let this name fall due at this moment, if it would not before."""
        if at < self._moments.get(name, float("inf")):
            self._moments[name] = at

    def clear(self, name: K) -> None:
        """Let this name not fall due."""
        self._moments.pop(name, None)

    def wait(self, now: float, longest: float) -> float:
        """Return the seconds until something falls due, at most `longest`."""
        return min(longest, max(0.0, min(self._moments.values(), default=now + longest) - now))

    def due(self, now: float) -> list[K]:
        """Return the names that have fallen due, earliest first, and forget them."""
        if not self._moments or min(self._moments.values()) > now:
            return []
        names = sorted((at, place) for place, at in enumerate(self._moments.values()) if at <= now)
        keys = list(self._moments)
        found = [keys[place] for _, place in names]
        for name in found:
            del self._moments[name]
        return found
