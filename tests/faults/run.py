"""One run under faults: its dice, which can be cast again from the seed, and how long it is."""

from __future__ import annotations

import os
import random
import threading

SOAK = "DULY_SOAK"
SEED = "DULY_SEED"
SHARE = 10
"""A soak does so many times as much as `./x test`."""


class Run:
    """The dice of one test, and its counts: the full ones in a soak, a tenth otherwise. Only its pacer sleeps."""

    def __init__(self, seed: int | None = None) -> None:
        given = os.environ.get(SEED)
        self.seed = seed if seed is not None else int(given) if given else random.SystemRandom().getrandbits(32)
        self.dice = random.Random(self.seed)
        self.soak = bool(os.environ.get(SOAK))
        self._pacer = threading.Event()

    def __repr__(self) -> str:
        return f"<Run: repeat it by {SEED}={self.seed}{f' {SOAK}=1' if self.soak else ''}>"

    def count(self, full: int) -> int:
        """Return how many of these to do."""
        return full if self.soak else max(1, full // SHARE)

    def pause(self, least: float, most: float | None = None) -> None:
        """Let so many seconds pass, or any number between two: the moment of a fault is chance."""
        self._pacer.wait(least if most is None else self.dice.uniform(least, most))
