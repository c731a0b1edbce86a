"""Submit a task now and then: SECONDS LEAST MOST, the last two bounding the seconds in between.

Says how many nanoseconds passed each time until the task's first line ran.
"""

import json
import random
import sys
import time

import duly
from bench.inside.tasks import app, wake

WARM = 10

if __name__ == "__main__":
    seconds, least, most = map(float, sys.argv[1:])
    until = time.monotonic() + seconds
    submitted: list[tuple[int, duly.Handle[int]]] = []
    while time.monotonic() < until or len(submitted) <= WARM:
        at = time.monotonic_ns()
        submitted.append((at, wake.submit()))
        time.sleep(random.uniform(least, most))
    print(json.dumps([handle.result(timeout=10) - at for at, handle in submitted[WARM:]]))
    app.close()
