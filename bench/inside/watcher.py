"""Watch a running task from another process, the one at PLACE among those of ACTION, until it ends.

What is told in the first SETTLE seconds does not count: as long as other watchers start, they have the processors.

Says how many nanoseconds after each update was told its event was seen, of those that were told meanwhile.
"""

import json
import sys
import time

from bench.inside.tasks import app

if __name__ == "__main__":
    action, place, settle = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    task = sorted(task.id for task in app.tasks(action=action, state="running"))[place]
    began, lags = time.monotonic_ns() + round(settle * 1e9), []
    for event in app.handle(task).events():
        now = time.monotonic_ns()
        if event.kind == "update" and event.data["data"]["at"] > began:
            lags.append(now - event.data["data"]["at"])
    print(json.dumps(lags))
    app.close()
