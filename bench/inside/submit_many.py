"""Store many equal tasks: ACTION COUNT PAYLOAD OPTIONS, the last two as JSON."""

import json
import sys

from bench.inside.tasks import app

if __name__ == "__main__":
    action, count, payload, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
    app.submit_many(app.passport(action, payload, **options) for _ in range(count))
    app.close()
