"""A node's lease: how long it may go on working without a store's answer, before others take what it holds.

The store counts from when it heard of the node, the node from when it spoke, which was before. So the node is always
the first to take its lease for over, and has the margin to end what it runs. Moments are seconds of one clock of this
machine, which nobody sets.
"""

from __future__ import annotations

LEAST_MARGIN = 1.0
"""Seconds that killing what runs may take."""

MARGINS = 6
"""Of a long lease the last one of so many parts is its margin."""

BEATS = 10
"""How often a node is to be heard in the time of one lease, at least."""


def left(lease: float, sent_at: float, now: float) -> float:
    """Return for how many seconds a node may go on whose last answered exchange was sent at that moment.

    >>> left(30.0, sent_at=100.0, now=101.0), left(30.0, sent_at=100.0, now=125.5), left(2.0, sent_at=0.0, now=0.0)
    (24.0, -0.5, 1.0)
    """
    return sent_at + lease - max(LEAST_MARGIN, lease / MARGINS) - now


def beat(lease: float, poll: float) -> float:
    """Return after how many seconds a node is to be heard again, which looks every `poll` seconds by itself.

    >>> beat(30.0, poll=1.0), beat(30.0, poll=60.0)
    (1.0, 3.0)
    """
    return min(poll, lease / BEATS)
