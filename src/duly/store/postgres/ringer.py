"""Ringing others: NOTIFY, after the commit and outside of it, since a commit that notifies holds up all others."""

from __future__ import annotations

import time

from duly.ports import Request

REST_SECONDS = 0.002
"""How often all nodes are rung at most, and ripples made. What comes sooner comes with what is next, or with a poll."""


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
        self._rung_at = 0.0

    def after(self, request: Request) -> list[str]:
        """Return which bells are to be rung as soon as a request is carried out.

        Who submitted may wait for just this end: that one is rung each time.
        """
        if request.submits or request.cancels or request.retries:
            self._late.add(self._nodes)
        if request.changes or request.rejections or request.cancels or request.retries:
            self._late.add(self._ripples)
        return self._due([bell for bell in request.ring if bell])

    def of_nodes(self) -> list[str]:
        """Return the bell of all nodes, if it is to be rung now."""
        self._late.add(self._nodes)
        return self._due([])

    def is_rested(self) -> bool:
        """Whether all bells may be rung now."""
        return time.monotonic() - self._rung_at >= REST_SECONDS

    def _due(self, own: list[str]) -> list[str]:
        if not own and not (self._late and self.is_rested()):
            return []
        due = [*own, *self._late]
        if self._late:
            self._rung_at = time.monotonic()
            self._late.clear()
        return due
