"""The App with a task that has a process of its own each time; apart, since not every revision can declare it."""

from bench.inside.tasks import app


@app.action("bench:fresh", isolation="fresh")
def fresh(blob: str) -> None:
    """Do nothing with some text."""
