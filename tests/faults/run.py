"""One run under faults: its dice, which can be cast again from the seed, and how long it is."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable

SOAK = "DULY_SOAK"
SEED = "DULY_SEED"
SHARE = 10
"""A soak does so many times as much as `./x test`."""

ROUNDS_SHARE = 30


class Run:
    """The dice of one test, and its counts: the full ones in a soak, a tenth otherwise. Only its pacer sleeps."""

    def __init__(self, seed: int | None = None, tell: Callable[[str], None] = print) -> None:
        given = os.environ.get(SEED)
        self.seed = seed if seed is not None else int(given) if given else random.SystemRandom().getrandbits(32)
        self.dice = random.Random(self.seed)
        self.soak = bool(os.environ.get(SOAK))
        self._pacer = threading.Event()
        self._tell = tell

    def __repr__(self) -> str:
        return f"<Run: repeat it by {SEED}={self.seed}{f' {SOAK}=1' if self.soak else ''}>"

    def count(self, full: int) -> int:
        """Return how many of these to do."""
        return full if self.soak else max(1, full // SHARE)

    def rounds(self, full: int) -> int:
        """The same of what takes seconds each: a thirtieth, where a tenth shows no more."""
        return full if self.soak else max(1, full // ROUNDS_SHARE)

    def pause(self, least: float, most: float | None = None) -> None:
        """Let so many seconds pass, or any number between two: the moment of a fault is chance."""
        self._pacer.wait(least if most is None else self.dice.uniform(least, most))

    def figure(self, what: str, seen: float | str, must: str = "") -> None:
        """Tell a figure of this run, and what it must be; pytest shows all of them at its end."""
        shown = f"{seen:,.4g}" if isinstance(seen, float) else f"{seen:,}" if isinstance(seen, int) else seen
        self._tell(f"{what} {shown}{f' ({must})' if must else ''}")
