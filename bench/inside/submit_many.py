"""Store many equal tasks: ACTION COUNT PAYLOAD OPTIONS, the last two as JSON."""

import json
import sys

from bench.inside.tasks import app

MOST = 10_000

if __name__ == "__main__":
    action, count, payload, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
    for first in range(0, count, MOST):  # a handle for each of a million would be much to hold
        app.submit_many(app.passport(action, payload, **options) for _ in range(min(MOST, count - first)))
    app.close()
