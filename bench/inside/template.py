"""Fork, run a task's function and wait, PARALLEL at a time for SECONDS; say how many and how long it took.

The process that forks has imported what a zygote of this App has.
"""

import gc
import json
import os
import sys
import time

import duly.runner.zygote  # noqa: F401 - see above
from bench.inside.tasks_fresh import fresh


def start() -> None:
    """Fork a process that runs the function and ends."""
    if os.fork() == 0:
        try:
            fresh("")
        finally:
            os._exit(0)


if __name__ == "__main__":
    parallel, seconds = int(sys.argv[1]), float(sys.argv[2])
    gc.collect()
    gc.freeze()
    count, since = 0, time.perf_counter()
    for _ in range(parallel):
        start()
    while (passed := time.perf_counter() - since) < seconds:
        os.wait()
        count += 1
        start()
    print(json.dumps({"count": count, "seconds": passed}))
    for _ in range(parallel):
        os.wait()
