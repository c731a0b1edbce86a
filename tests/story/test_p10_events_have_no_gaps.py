"""P10: event numbers of a task have no gaps, and a reader that names the last one it saw gets exactly what followed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys

from tests.helpers import eventually
from tests.place import ON_BOTH, ROOT, Place

TASKS = 500
REPORT = {"seconds": 0.02, "times": 3}
PROCESSES = 5
WATCHERS = 10

WATCH = """
import asyncio, json, os, random, sys
import duly

app = duly.App()
seed, count, over, *ids = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]

async def read(task_id, seen, most):
    async for event in app.handle(task_id).aevents(after=seen[-1][0] if seen else 0):
        seen.append([event.number, event.kind, event.attempt, event.data])
        if len(seen) == most:
            break

async def watch(dice):
    seen = {}
    while not os.path.exists(over):
        task_id = dice.choice(ids)
        mine = seen.setdefault(task_id, [])
        try:
            async with asyncio.timeout(dice.random() / 4):
                await read(task_id, mine, len(mine) + dice.randrange(1, 9))
        except TimeoutError:
            continue
    for task_id, mine in seen.items():
        await read(task_id, mine, None)
    return seen

async def main():
    return await asyncio.gather(*(watch(random.Random(f"{seed}-{number}")) for number in range(count)))

json.dump(asyncio.run(main()), sys.stdout)
"""


def watching(place: Place, seed: str, ids: list[str]) -> subprocess.Popen[bytes]:
    """Start a process of watchers, who come and go until there is a file `over`, and then read the rest."""
    arguments = [seed, str(WATCHERS), str(place.folder / "over"), *ids]
    return subprocess.Popen(
        [sys.executable, "-c", WATCH, *arguments], cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE
    )


@ON_BOTH
def test_watchers_that_come_and_go_see_each_event_once_though_the_worker_is_killed(place: Place) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown if it fails
    handles = place.app.submit_many(place.app.passport("shop:report", REPORT) for _ in range(place.share(TASKS)))
    ids = [handle.id for handle in handles]
    watchers = [watching(place, f"{seed}-{number}", ids) for number in range(PROCESSES)]
    first = place.start("--concurrency", "4")
    eventually(lambda: len(list(place.app.tasks(state="succeeded"))) > len(ids) // 4, 60)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    eventually(lambda: set(place.left()) == {watcher.pid for watcher in watchers})
    place.start("--concurrency", "4")
    assert all(handle.wait(60).ok for handle in handles)

    truth = {}
    for task_id in ids:
        events = place.app.look(task_id)[1]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        truth[task_id] = [[event.number, event.kind, event.attempt, event.data] for event in events]
    assert any("rescue" in (kind for _, kind, _, _ in events) for events in truth.values()), "it was killed too late"

    (place.folder / "over").touch()
    seen = [mine for watcher in watchers for mine in json.loads(watcher.communicate(timeout=60)[0])]
    assert len(seen) == PROCESSES * WATCHERS
    assert sum(len(mine) for mine in seen) > len(ids), "they have seen too little to show anything"
    for mine in seen:
        for task_id, events in mine.items():
            assert events == truth[task_id]
