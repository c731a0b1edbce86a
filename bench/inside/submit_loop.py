"""Submit tasks for SECONDS, each with a blob of BYTES, IN_FLIGHT at once from one event loop.

Says how many and how long it took.
"""

import asyncio
import json
import sys
import time

from bench.inside.tasks import app, noop


async def submit_until(moment: float, blob: str) -> int:
    """Submit one by one until then; return how many."""
    count = 0
    while time.perf_counter() < moment:
        await noop.asubmit(blob)
        count += 1
    return count


async def main(seconds: float, blob: str, in_flight: int) -> None:
    await noop.asubmit(blob)
    since = time.perf_counter()
    counts = await asyncio.gather(*(submit_until(since + seconds, blob) for _ in range(in_flight)))
    print(json.dumps({"count": sum(counts), "seconds": time.perf_counter() - since}))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), "x" * int(sys.argv[2]), int(sys.argv[3])))
    app.close()
