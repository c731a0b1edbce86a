"""Submit for SECONDS, each 0 to PAUSE seconds after the last, with a blob of BYTES.

Says how many nanoseconds each call took.
"""

import json
import random
import sys
import time

from bench.inside.tasks import app, noop

WARM = 20

if __name__ == "__main__":
    seconds, pause, blob = float(sys.argv[1]), float(sys.argv[2]), "x" * int(sys.argv[3])
    for _ in range(WARM):
        noop.submit(blob)
    times: list[int] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        at = time.monotonic_ns()
        noop.submit(blob)
        times.append(time.monotonic_ns() - at)
        time.sleep(random.uniform(0, pause))
    print(json.dumps(times))
    app.close()
