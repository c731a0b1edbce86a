"""A worker as users run it: a process of its own, until SIGTERM."""

from bench.inside.tasks import app

if __name__ == "__main__":
    app.run_worker(2)
