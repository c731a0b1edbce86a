"""Trouble of a store that may be over by itself, for those who look at it again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from duly.cli.streams import say
from duly.errors import PASSING

T = TypeVar("T")


class Outage:
    """Bridges such trouble: it is said once while it lasts, and so is its end."""

    def __init__(self) -> None:
        self._lasts = False

    def bridge(self, look: Callable[[], T]) -> T | None:
        """Return what was seen, or None while nothing can be."""
        try:
            seen = look()
        except PASSING as error:
            if not self._lasts:
                say(f"{error}; trying again")
            self._lasts = True
            return None
        if self._lasts:
            say("the store is back")
        self._lasts = False
        return seen
