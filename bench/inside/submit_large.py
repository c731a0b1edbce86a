"""Have texts of BYTES given back for SECONDS, by THREADS that each wait; say how many and how long it took."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench.inside.tasks import app, echo


def echo_until(moment: float, text: str) -> int:
    """Submit one by one until then; return how many."""
    count = 0
    while time.perf_counter() < moment:
        if echo.submit(text).result(timeout=30) != text:
            sys.exit("what came back is not what was sent")
        count += 1
    return count


if __name__ == "__main__":
    seconds, text, threads = float(sys.argv[1]), "x" * int(sys.argv[2]), int(sys.argv[3])
    echo.submit(text).result(timeout=30)
    since = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(echo_until, [since + seconds] * threads, [text] * threads))
    print(json.dumps({"count": count, "seconds": time.perf_counter() - since}))
    app.close()
