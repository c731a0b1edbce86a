"""Ringing others: NOTIFY, after the commit and outside of it, since a commit that notifies holds up all others."""

from __future__ import annotations

import time
from collections.abc import Iterable

from duly.ports import Request

REST_SECONDS = 0.005
"""How often a bell is rung at most. What comes sooner is rung with what comes next, or found by a poll."""

_MANY = 1_000


def channel_of_nodes(schema: str) -> str:
    """Where all nodes of a schema are rung."""
    return schema


def channel_of_ripples(schema: str) -> str:
    """Where it is rung that histories of a schema have grown."""
    return f"{schema}.ripples"


class Ringer:
    """Tells which bells of a schema are to be rung after what, and no bell all the time."""

    def __init__(self, schema: str) -> None:
        self._nodes = channel_of_nodes(schema)
        self._ripples = channel_of_ripples(schema)
        self._late: set[str] = set()
        self._rung_at: dict[str, float] = {}

    def after(self, request: Request, submitters: Iterable[str]) -> list[str]:
        """Return which bells are to be rung now that a request was carried out."""
        ready = request.submits or request.cancels or request.retries
        told = request.changes or request.rejections or request.cancels or request.retries
        return self._due({*submitters, self._nodes if ready else "", self._ripples if told else ""})

    def of_nodes(self) -> list[str]:
        """Return the bell of all nodes, if it is to be rung now."""
        return self._due({self._nodes})

    def is_rested(self) -> bool:
        """Whether any bell may be rung now."""
        now = time.monotonic()
        return all(now - at >= REST_SECONDS for at in self._rung_at.values())

    def _due(self, channels: set[str]) -> list[str]:
        now, late = time.monotonic(), self._late
        late |= channels - {""}
        due = [channel for channel in late if now - self._rung_at.get(channel, 0.0) >= REST_SECONDS]
        late.difference_update(due)
        if len(self._rung_at) > _MANY:
            self._rung_at.clear()
        self._rung_at.update(dict.fromkeys(due, now))
        return due
