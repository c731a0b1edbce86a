"""A holder that sleeps while others take over what it held: whatever it says when it wakes changes nothing."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from duly.core import lifecycle
from duly.core.action import Policy
from duly.errors import StoreBusy
from duly.ports import Request
from duly.store.sqlite.file import wall_clock
from duly.store.sqlite.store import SqliteStore
from tests.faults.checker import check
from tests.faults.killer import send, stop
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import Place

SLEEPS = 100
TASKS = 12
KINDS = ("faults:work", "faults:fresh", "faults:shared")


@pytest.fixture
def others(place: Place) -> Iterator[SqliteStore]:
    """The store as those who take over see it."""
    store = SqliteStore(str(place.folder / "duly.db"))
    store.open()
    store.patience = 0.2
    yield store
    store.close()


def take_over(store: SqliteStore, pid: int, *, strike_off: bool) -> int:
    """Give back what a node holds as if it was lost, though it lives; return how much that was.

    All but suspects: to be on three nodes that are lost while they are watched is the end of them.
    """
    node = next((node.number for node in store.nodes() if node.label.endswith(f":{pid}")), 0)
    held = [one for one in store.held(node, 1000) if not one.suspect]
    changes = [lifecycle.rescue(one, Policy(), wall_clock(), random.random()) for one in held]
    taken = len(changes) - len(store.exchange(Request(changes=changes)).misses)
    if strike_off:
        store.leave(node)
    return taken


def submitted(place: Place, run: Run) -> list[str]:
    dice = run.dice
    return [
        task.id
        for task in place.app.submit_many(
            place.app.passport(dice.choice(KINDS), {"seconds": dice.randint(1, 80) / 1000}) for _ in range(TASKS)
        )
    ]


@pytest.mark.parametrize("strike_off", [False, True], ids=["", "and is struck off"])
def test_what_a_node_says_that_slept_while_others_took_over_changes_nothing(place, run, killer, others, strike_off):
    ids, taken, sleeps = [], 0, run.count(SLEEPS)
    killer.start(2)
    while sleeps > 0 or not taken:
        ids += submitted(place, run)
        run.pause(0.0, 0.06)
        sleeper = killer.at_work()
        stop([sleeper.pid])
        try:
            taken += take_over(others, sleeper.pid, strike_off=strike_off)
            run.pause(0.0, 0.3)
            sleeps -= 1
        except StoreBusy:  # it fell asleep in a transaction
            pass
        send(signal.SIGCONT, [sleeper.pid])
    eventually(lambda: not {task.state for task in place.app.tasks()} - {"succeeded"}, 300)
    assert set(killer.stop_all()) == {0}
    check(place, ids)
    rejected = sum(place.kinds(place.app.handle(task)).count("rejected") for task in ids)
    assert taken
    assert strike_off or rejected
    run.figure("sleeps", run.count(SLEEPS))
    run.figure("tasks taken over", taken)
    run.figure("answers rejected", rejected)
