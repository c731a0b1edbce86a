"""Submit COUNT tasks at once, each with a blob of BYTES, from a generator; say how many seconds it took."""

import json
import sys
import time

from bench.inside.tasks import app, noop

if __name__ == "__main__":
    count, blob = int(sys.argv[1]), "x" * int(sys.argv[2])
    noop.submit(blob)
    since = time.perf_counter()
    handles = app.submit_many(noop.passport(blob) for _ in range(count))
    seconds = time.perf_counter() - since
    print(json.dumps(seconds if len(handles) == count else None))
    app.close()
