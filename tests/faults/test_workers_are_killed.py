"""Supervisors are killed, again and again, one at a time or all at once: nothing that was accepted is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

from duly import Passport
from tests.faults.checker import GONE_SECONDS, check
from tests.faults.killer import go_on, stop
from tests.faults.run import Run
from tests.helpers import alive, eventually
from tests.place import LEASE_SECONDS, ON_BOTH, ON_BOTH_IN_SOAK, Place, on_server

KILLS = 300
TASKS = 10_000
BEAT = 0.2
"""Seconds between two kills."""

ROUNDS = 100
TASKS_A_ROUND = 100
PLAIN = ("faults:work",) * 9
ESCAPING = ("faults:stray",)

STOPS = 300


def some(place: Place, run: Run, count: int, *actions: str) -> Iterator[Passport]:
    """Tasks of 1 to 10 ms."""
    for _ in range(count):
        seconds = run.dice.randint(1, 10) / 1000
        yield place.app.passport(run.dice.choice(actions or ("faults:work",)), {"seconds": seconds})


def submitted(place: Place, run: Run, count: int, *actions: str) -> list[str]:
    return [task.id for task in place.app.submit_many(some(place, run, count, *actions))]


def over(place: Place) -> bool:
    """Whether nothing waits and nothing runs."""
    return all(next(place.app.tasks(state=state, first=1), None) is None for state in ("waiting", "running"))


def all_succeeded(place: Place, ids: list[str]) -> None:
    check(place, ids)
    assert {task.state for task in place.app.tasks()} == {"succeeded"}


@ON_BOTH
def test_4_workers_one_of_which_is_killed_every_200_ms_lose_none_of_10000_tasks(place, run, killer):
    ids, kills = [], run.count(KILLS)
    killer.start(4)
    begin = time.monotonic()
    for kill in range(1, kills + 1):
        ids += submitted(place, run, 1 + run.count(TASKS) // kills)
        run.pause(0.0, 0.03)
        killer.replace(killer.one_of_many())
        run.pause(max(0.0, begin + BEAT * kill - time.monotonic()))
    seconds = time.monotonic() - begin
    eventually(lambda: over(place), 300)
    assert set(killer.stop_all()) == {0}
    all_succeeded(place, ids)
    run.figure("tasks", len(ids), ">= 10,000")
    run.figure("kills", killer.hits, ">= 300")
    run.figure("ms between kills", 1000 * seconds / kills)
    run.figure("tasks on nodes that were lost", sum(place.row(place.app.handle(task)).losses > 0 for task in ids))


@ON_BOTH
def test_everything_is_killed_at_once_at_any_moment_and_every_task_succeeds(place, run, killer):
    ids, escaped, rounds = [], [], run.count(ROUNDS)
    soon = GONE_SECONDS + (LEASE_SECONDS if on_server(place.url) else 0)  # so long nobody knows that a worker is gone
    for number in range(rounds):
        ids += submitted(place, run, TASKS_A_ROUND, *PLAIN, *(ESCAPING if number % 2 else ()))
        killer.launch()
        if escaped:
            eventually(killer.enlisted)
            eventually(lambda: not any(map(alive, escaped)), soon)  # noqa: B023 - it is called here and now
        elif run.dice.random() < 0.5:
            eventually(killer.enlisted)
        run.pause(0.0, 0.5)
        escaped = killer.kill_all()
        if not escaped:
            check(place, ids, settled=False)
    killer.start(2)
    eventually(lambda: over(place), 300)
    assert set(killer.stop_all()) == {0}
    all_succeeded(place, ids)
    run.figure("rounds", rounds, "100")
    run.figure("tasks", len(ids))
    run.figure("processes killed", killer.hits)


@ON_BOTH_IN_SOAK
def test_what_was_stopped_and_rescued_changes_nothing_when_it_goes_on(place, run, killer):
    """The zygote and the runners stand still, their supervisor dies, and others do their tasks meanwhile."""
    ids, stopped, went_on = [], 0, 0
    killer.start(3)
    for _ in range(run.rounds(STOPS)):
        victim = killer.at_work()
        eventually(lambda: killer.runners(victim))  # noqa: B023 - it is called here and now
        ids += submitted(place, run, 10)
        run.pause(0.0, 0.03)
        still = stop([*killer.zygotes(victim), *killer.runners(victim)])
        killer.kill(victim)
        killer.launch()
        run.pause(0.0, 0.7)
        stopped, went_on = stopped + len(still), went_on + go_on(still)
    eventually(lambda: over(place), 300)
    assert set(killer.stop_all()) == {0}
    all_succeeded(place, ids)
    run.figure("stops", run.rounds(STOPS), "300")
    run.figure("processes stopped", stopped)
    run.figure("processes that went on", went_on)
