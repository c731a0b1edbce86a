"""A task has five children, each of which has five, five levels deep, while runners and workers are killed.

Children are stored with their parent's success or not at all: every node of the tree is one task, whose trace may be
there several times (P2), but is always that of the same task.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

from tests.helpers import eventually, marked
from tests.place import ON_BOTH_IN_SOAK, Place

LEVELS = 5
NODES = sum(5**level for level in range(LEVELS + 1))
STEP = 120
"""So many more traces between two kills."""


def runners(place: Place, worker: subprocess.Popen[bytes]) -> list[int]:
    """The processes that run tasks: children of the child of the worker."""
    return [pid for pid in marked(place.mark) if parent(parent(pid)) == worker.pid]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@ON_BOTH_IN_SOAK
def test_the_tree_is_whole_and_each_node_is_one_task(place: Place) -> None:
    folder = place.folder / "tree"
    folder.mkdir()
    dice = random.Random(5)
    workers = [place.start("--concurrency", "2") for _ in range(2)]
    place.app.submit("shop:grow", {"node": "0", "levels": LEVELS, "folder": str(folder)})
    kills = 0
    for step in range(STEP, NODES, STEP):
        eventually(lambda step=step: len(os.listdir(folder)) >= step, 60)
        victim = dice.randrange(2)
        if dice.random() < 0.2:
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = place.start("--concurrency", "2")
            kills += 1
        elif found := runners(place, workers[victim]):
            kills += killed(dice.choice(found))
    eventually(lambda: len(os.listdir(folder)) == NODES, 60)
    eventually(lambda: not list(place.app.tasks(state=["ready", "running", "scheduled"])), 60)

    traces = {path.name: set(path.read_text().split()) for path in folder.iterdir()}
    assert all(len(ids) == 1 for ids in traces.values()), "a node was more than one task"
    tasks = {task.id: task.state for task in place.app.tasks()}
    assert tasks.keys() == set.union(*traces.values()), "a task left no trace, or is lost"
    assert len(tasks) == NODES
    assert set(tasks.values()) == {"succeeded"}
    assert kills > 20
