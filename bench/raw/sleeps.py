"""Coroutines that sleep, many at a time."""

from __future__ import annotations

import asyncio
import time

AT_A_TIME = 1_000
SLEEP_SECONDS = 0.01


def count(seconds: float) -> int:
    """How many sleeps of 10 ms end in this time, 1,000 at a time in one event loop."""
    return asyncio.run(_count(seconds))


async def _count(seconds: float) -> int:
    until = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_sleep_until(until) for _ in range(AT_A_TIME))))


async def _sleep_until(moment: float) -> int:
    slept = 0
    while time.perf_counter() < moment:
        await asyncio.sleep(SLEEP_SECONDS)
        slept += 1
    return slept
