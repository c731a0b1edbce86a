"""Watch a running task from another process, the one at PLACE among those of ACTION, until it ends.

Says how many nanoseconds after each update was told its event was seen, of those that were told meanwhile.
"""

import json
import sys
import time

from bench.inside.tasks import app

if __name__ == "__main__":
    action, place = sys.argv[1], int(sys.argv[2])
    task = sorted(task.id for task in app.tasks(action=action, state="running"))[place]
    began, lags = time.monotonic_ns(), []
    for event in app.handle(task).events():
        now = time.monotonic_ns()
        if event.kind == "update" and event.data["data"]["at"] > began:
            lags.append(now - event.data["data"]["at"])
    print(json.dumps(lags))
    app.close()
