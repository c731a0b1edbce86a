"""Submit tasks for SECONDS, each with a blob of BYTES, from THREADS; say how many and how long it took."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench.inside.tasks import app, noop


def submit_until(moment: float, blob: str) -> int:
    """Submit one by one until then; return how many."""
    count = 0
    while time.perf_counter() < moment:
        noop.submit(blob)
        count += 1
    return count


if __name__ == "__main__":
    seconds, blob, threads = float(sys.argv[1]), "x" * int(sys.argv[2]), int(sys.argv[3])
    noop.submit(blob)
    since = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(submit_until, [since + seconds] * threads, [blob] * threads))
    print(json.dumps({"count": count, "seconds": time.perf_counter() - since}))
    app.close()
