"""How a node works, as it is told once."""

from __future__ import annotations

from typing import NamedTuple

from duly.core.estimate import HAND_MOST
from duly.core.keeping import Keep


class Settings(NamedTuple):
    """How a node works: runners, seconds, and how many tasks one runner may have in hand.

    `beside`: while a handler waits for other tasks, another one may run beside it. `keep`: for how long ended tasks are
    kept of which no worker has said it. Into `status_file` it writes how it is, and of which `release`.
    """

    concurrency: int
    poll: float = 1.0
    drain_timeout: float = 30.0
    most_bytes: int = 16 * 1024 * 1024
    hand_most: int = HAND_MOST
    label: str = ""
    recycle_tasks: int = 10_000
    recycle_growth: int = 256 * 1024 * 1024
    beside: bool = True
    keep: Keep = Keep()
    status_file: str | None = None
    release: str = ""
