"""A worker that also runs what has a process of its own each time."""

import bench.inside.tasks_fresh  # noqa: F401 - it declares more
from bench.inside.tasks import app

if __name__ == "__main__":
    app.run_worker(2)
