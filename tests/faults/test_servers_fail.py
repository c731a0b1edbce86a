"""The server of a store is stopped, killed, cut off and replaced while workers work: nothing accepted is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.faults.checker import check
from tests.faults.effects import by_task, read
from tests.faults.killer import Killer, go_on, stop
from tests.faults.load import Load
from tests.faults.pooler import Pooler
from tests.faults.proxy import Fate, Proxy
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import LEASE_SECONDS, SOAK, Place
from tests.server import Postgres, Server

RESTARTS = 60
TERMINATIONS = 500
LOST = 500
FAILOVERS = 10
SLEEPS = 300
SLEEPERS = 5
"""Nodes of six that stand still at once."""

RECOVERIES = 20
BACK_SECONDS = 5.0
MOST_BACK_SECONDS = 2 * BACK_SECONDS
BACK = 0.9
SECONDS_BEFORE = 3
RUNNERS = 3
TASK_SECONDS = 0.02

SHOP = "tests.faults.shop:app"
Made = Callable[[str], Place]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """Makes the place of the test, on a store that a url names."""
    places: list[Place] = []

    def make(url: str) -> Place:
        places.append(Place(tmp_path, SHOP, url))
        return places[-1]

    yield make
    for place in places:
        place.end()


WAYS = ("direct", "pooled")
DIRECT_BUT_IN_SOAK = pytest.mark.parametrize("place", WAYS if SOAK else WAYS[:1], indirect=True)


@pytest.fixture(params=WAYS)
def place(request: pytest.FixtureRequest, own_server: Server, made: Made) -> Iterator[Place]:
    """A store on the test's own server; its place goes there straight, or through a pooler."""
    name = own_server.create_database()
    if request.param == "direct":
        yield made(own_server.url(name))
        return
    with Pooler(own_server, size=8) as pooler:
        place = made(pooler.url(name))
        yield place
        place.end()


def settle(place: Place, load: Load, killer: Killer) -> None:
    """Let all come to its end, and check it. What fails by itself here does so for no fault of its own."""
    load.settle()
    assert set(killer.stop_all()) == {0}, place.said()
    check(place, load.ids)
    assert {task.state for task in place.app.tasks()} == {"succeeded"}


@DIRECT_BUT_IN_SOAK
def test_the_server_is_stopped_or_killed_and_started_every_few_seconds(
    run: Run, place: Place, killer: Killer, own_server: Server
) -> None:
    killer.start(2)
    with Load(place, run) as load:
        for _ in range(run.rounds(RESTARTS)):
            run.pause(0.5, 3.0)
            run.dice.choice((own_server.stop, own_server.kill))()
            run.pause(0.0, 1.5)
            own_server.start()
        settle(place, load, killer)
    run.figure("restarts", run.rounds(RESTARTS))
    run.figure("tasks", len(load.ids))
    run.figure("submits refused meanwhile", load.refused)


def test_all_sessions_are_terminated_again_and_again(
    run: Run, place: Place, killer: Killer, own_server: Server
) -> None:
    killer.start(2)
    ended = 0
    with Load(place, run) as load:
        while ended < run.count(TERMINATIONS):
            run.pause(0.05, 0.6)
            ended += own_server.end_sessions()
        settle(place, load, killer)
    run.figure("sessions ended", ended, ">= 500")
    run.figure("tasks", len(load.ids))
    run.figure("submits refused meanwhile", load.refused)


def test_replies_to_commits_are_swallowed_torn_or_held_for_ever(run: Run, own_server: Server, made: Made) -> None:
    name = own_server.create_database()
    fates = (*[Fate.PASS] * 40, *[Fate.SWALLOW] * 4, *[Fate.TEAR] * 4)
    with Proxy(own_server) as proxy:
        place = made(proxy.url(name))
        killer = Killer(place, run, "-c", "1")
        killer.start(2)
        proxy.decide(lambda number: Fate.SILENCE if number % 300 == 299 else run.dice.choice(fates))
        with Load(place, run) as load:
            eventually(lambda: proxy.hits >= run.count(LOST), 1200)
            proxy.decide(lambda _: Fate.PASS)
            settle(place, load, killer)
        run.figure("replies to commits lost", proxy.hits, ">= 500")
        run.figure("tasks", len(load.ids))
        place.end()


def test_a_primary_is_killed_and_its_synchronous_standby_promoted(run: Run, postgres: Postgres, made: Made) -> None:
    """A url names both hosts, whichever of them is the primary."""
    primary = postgres.server()
    name = primary.create_database()
    with Proxy(primary) as first, Proxy(primary) as second:
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = primary.url(name).replace(f"127.0.0.1:{primary.port}", hosts)
        place = made(f"{url}?target_session_attrs=read-write")
        killer = Killer(place, run, "-c", "1")
        killer.start(2)
        with Load(place, run) as load:
            for number in range(run.count(FAILOVERS)):
                old, new = (second, first) if number % 2 else (first, second)
                standby = new.server = primary.standby()
                run.pause(0.5, 3.0)
                primary.kill()
                standby.promote()
                primary.end()
                primary = old.server = standby
            settle(place, load, killer)
        run.figure("failovers", run.count(FAILOVERS), "10")
        run.figure("tasks", len(load.ids))
        run.figure("submits refused meanwhile", load.refused)
        place.end()
    primary.end()


@DIRECT_BUT_IN_SOAK
def test_nodes_that_stood_still_beyond_their_lease_change_nothing_when_they_go_on(
    run: Run, place: Place, killer: Killer
) -> None:
    killer.start(SLEEPERS + 1)
    sleeps = 0
    with Load(place, run) as load:
        while sleeps < run.rounds(SLEEPS) or not given_up(place, load.ids):
            eventually(lambda: len(killer.enlisted()) == len(killer.workers))
            victims = run.dice.sample(killer.workers, SLEEPERS)
            whole = run.dice.random() < 0.5
            pids = [worker.pid for worker in victims]
            inner = [pid for one in victims for pid in (*killer.zygotes(one), *killer.runners(one))] if whole else []
            still = stop([*pids, *inner])
            run.pause(LEASE_SECONDS + 0.1, LEASE_SECONDS + 1.0)
            sleeps += len(set(still) & set(pids))
            go_on(still)
            run.pause(0.0, 0.5)
        settle(place, load, killer)
    done, rows = by_task(read(place.effects)), [place.row(place.app.handle(task)) for task in load.ids]
    came = [[one.what for one in done[row.id]].count("end") for row in rows if row.action == "faults:work"]
    run.figure("nodes that stood still", sleeps, "300")
    run.figure("tasks", len(load.ids))
    run.figure("tasks given to others meanwhile", given_up(place, load.ids))
    run.figure("tasks that came to an end more than once, one of which counts", sum(times > 1 for times in came))


def given_up(place: Place, ids: list[str]) -> int:
    """How many of these tasks were taken from a node that was not heard."""
    return sum(place.row(place.app.handle(task)).losses > 0 for task in tuple(ids))


def test_the_rate_is_back_soon_after_the_server_is(run: Run, made: Made, own_server: Server) -> None:
    place = made(own_server.url(own_server.create_database()))
    killer = Killer(place, run, "-c", str(RUNNERS))
    rounds, pause = run.count(RECOVERIES), SECONDS_BEFORE + MOST_BACK_SECONDS + 2
    tasks = int(RUNNERS / TASK_SECONDS * pause * rounds)
    place.app.submit_many(place.app.passport("faults:work", {"seconds": TASK_SECONDS}) for _ in range(tasks))
    killer.start()
    took = []
    for _ in range(rounds):
        begin = now()
        run.pause(SECONDS_BEFORE)
        moments = ends(place)
        rate = min(within_a_second(moments, begin + second * 1_000_000) for second in range(SECONDS_BEFORE))
        own_server.kill()
        own_server.start()
        ready = now()
        while (seconds := back(ends(place), ready, BACK * rate)) is None and now() < ready + MOST_BACK_SECONDS * 1e6:
            run.pause(0.1)
        took.append(MOST_BACK_SECONDS if seconds is None else seconds)
    assert set(killer.stop_all()) == {0}
    check(place, [], settled=False)
    run.figure("s until 90 % of the rate were back", median(took))
    run.figure("at most", max(took), f"<= {BACK_SECONDS:g}")
    assert max(took) <= BACK_SECONDS, took


def now() -> int:
    return time.monotonic_ns() // 1000


def ends(place: Place) -> list[int]:
    """When tasks came to their end."""
    return [effect.moment for effect in read(place.effects) if effect.what == "end"]


def within_a_second(moments: list[int], begin: int) -> int:
    """How many of some moments lie in one second. On a busy machine the slowest one tells what its rate is."""
    return sum(begin <= moment < begin + 1_000_000 for moment in moments)


def back(moments: list[int], ready: int, rate: float) -> float | None:
    """Seconds until within one second so many tasks came to their end as before; None if that was not yet so."""
    for step in range(int(10 * MOST_BACK_SECONDS)):
        if within_a_second(moments, ready + step * 100_000) >= rate:
            return step / 10
    return None


@pytest.mark.parametrize("place", WAYS[:1], indirect=True)
def test_a_worker_ends_when_it_is_told_to_though_its_server_is_away(place: Place, own_server: Server) -> None:
    worker = place.start("-c", "1")
    hanging = place.app.submit("faults:hang")
    eventually(lambda: place.kinds(hanging)[-1] == "start")
    own_server.kill()
    assert place.stop(worker) == 0, place.said()
    assert not place.left()
    own_server.start()
    place.start("-c", "1")
    eventually(lambda: place.kinds(hanging).count("start") == 2)
    assert (place.row(hanging).attempt, place.row(hanging).deaths) == (1, 0)
    assert hanging.cancel(wait=20) == "asked"
    check(place, [hanging.id])
