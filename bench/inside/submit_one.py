"""Submit tasks one by one for SECONDS, each with a blob of BYTES; say how many and how long it took."""

import json
import sys
import time

from bench.inside.tasks import app, noop

WARM = 20

if __name__ == "__main__":
    seconds, blob = float(sys.argv[1]), "x" * int(sys.argv[2])
    for _ in range(WARM):
        noop.submit(blob)
    count, since = 0, time.perf_counter()
    while (passed := time.perf_counter() - since) < seconds:
        noop.submit(blob)
        count += 1
    print(json.dumps({"count": count, "seconds": passed}))
    app.close()
