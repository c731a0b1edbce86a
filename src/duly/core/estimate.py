"""How long tasks of one kind run, learned as they end."""

from __future__ import annotations

HAND_SECONDS = 0.005
"""Learned work that may wait inside a runner: what an urgent newcomer may have to stand behind."""

HAND_MOST = 64
"""Tasks that may wait inside a runner, however short they are: what its channel holds for sure."""

AHEAD_SECONDS = 0.020
"""Learned work per runner that a node holds claimed beyond what it has handed over: a few commits' worth."""

AHEAD_MOST = 1_000
"""Tasks that a node holds claimed, at most."""


class RunTime:
    """The run time, in seconds, that about nine of ten tasks stay below; `seconds` is None before the first.

    It moves by a factor at each task, up by 1.5 or down by 0.95, and so comes to rest where ups are one in nine
    (ln 1.5 : ln 1/0.95 = 8 : 1); a single hiccup of the machine moves it by no more than one such step.
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds: float | None = None

    def observe(self, seconds: float) -> None:
        """Take one more run time into account."""
        known = self.seconds
        if known is None:
            self.seconds = max(seconds, 1e-6)
        elif seconds > known:
            self.seconds = known * 1.5
        elif known > 1e-6:
            self.seconds = known * 0.95


def fits(waiting: int, waiting_seconds: float | None, seconds: float | None, most: int = HAND_MOST) -> bool:
    """Whether one more task may be handed to a runner that has `waiting` tasks of `waiting_seconds` of work.

    A task of unknown or long run time is handed over alone; the others while they are few and short together.
    None stands for unknown.
    """
    if waiting == 0:
        return True
    if seconds is None or waiting_seconds is None:
        return False
    return waiting < most and waiting_seconds + seconds <= HAND_SECONDS


def ahead(runners: int, seconds: float | None) -> int:
    """How many tasks a node may hold claimed beyond those it has handed over, if they run about so many seconds.

    >>> ahead(2, 0.001), ahead(2, 60.0), ahead(2, None)
    (40, 0, 0)
    """
    if seconds is None or runners == 0:
        return 0
    return min(AHEAD_MOST, int(runners * AHEAD_SECONDS / seconds))
