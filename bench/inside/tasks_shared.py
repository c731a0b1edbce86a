"""The App with tasks that run many at a time in one runner; apart, since not every revision can declare them."""

import asyncio
import time

import duly
from bench.inside.tasks import app, write


@app.action("bench:doze", isolation="shared")
async def doze(blob: str) -> None:
    """Sleep 10 ms over some text."""
    del blob
    await asyncio.sleep(0.01)


@app.action("bench:report", isolation="shared", timeout=None)
async def report(task: duly.Task, pipe: str, seconds: float, updates: int) -> None:
    """Say what time it is, so often a second, for so long; tell when that begins and ends, and how many it were."""
    write(pipe)
    began, count = time.monotonic(), 0
    while (left := began + seconds - time.monotonic()) > 0:
        if updates:
            task.update({"at": time.monotonic_ns()})
            count += 1
            left = began + count / updates - time.monotonic()
        await asyncio.sleep(max(0.0, left))
    write(pipe, count)
