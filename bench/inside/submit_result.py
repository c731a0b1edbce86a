"""Submit tasks for SECONDS, with a blob of BYTES, and wait for each one's result; say how many nanoseconds it took."""

import json
import sys
import time

from bench.inside.tasks import app, noop

WARM = 20

if __name__ == "__main__":
    seconds, blob = float(sys.argv[1]), "x" * int(sys.argv[2])
    times: list[int] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(times) <= WARM:
        at = time.monotonic_ns()
        noop.submit(blob).result(timeout=10)
        times.append(time.monotonic_ns() - at)
    print(json.dumps(times[WARM:]))
    app.close()
