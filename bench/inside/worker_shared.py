"""A worker that also runs what shares a runner."""

import bench.inside.tasks_shared  # noqa: F401 - it declares more
from bench.inside.tasks import app

if __name__ == "__main__":
    app.run_worker(2)
