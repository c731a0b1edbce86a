"""Nobody is told whether a commit has happened, or the server is another one: the store finds out by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from duly.store.postgres.store import PostgresStore
from tests.faults.chores import Chores
from tests.faults.proxy import Fate, Proxy
from tests.faults.run import Run
from tests.server import Postgres, Server

LOST = 500
FAILOVERS = 10

Opened = Callable[[str], PostgresStore]


@pytest.fixture
def opened(use: Callable[[PostgresStore], PostgresStore]) -> Opened:
    return lambda url: use(PostgresStore(url))


def test_answers_to_commits_are_lost_and_no_task_is_lost_or_ends_twice(
    own_server: Server, opened: Opened, run: Run
) -> None:
    with Proxy(own_server) as proxy:
        nodes = [Chores(opened(proxy.url()), run.dice) for _ in range(2)]
        proxy.decide(lambda _: run.dice.choice([Fate.SWALLOW, Fate.TEAR, *[Fate.PASS] * 6]))
        while proxy.hits < run.count(LOST):
            run.dice.choice(nodes).step()
        for node in nodes:
            node.finish()
        proxy.decide(lambda _: Fate.PASS)
        for node in nodes:
            node.check()
    run.figure("answers to commits that were lost", proxy.hits, ">= 500")
    run.figure("tasks", sum(len(node.ids) for node in nodes))


def test_the_primary_is_killed_while_nodes_work_and_its_standby_has_all_that_was_answered(
    postgres: Postgres, opened: Opened, run: Run
) -> None:
    primary, over = postgres.server(), threading.Event()

    def work(node: Chores) -> None:
        while not over.is_set():
            node.step()
        node.finish()

    with Proxy(primary) as proxy, ThreadPoolExecutor() as pool:
        nodes = [Chores(opened(proxy.url()), run.dice) for _ in range(2)]
        works = [pool.submit(work, node) for node in nodes]
        try:
            for _ in range(run.count(FAILOVERS)):
                standby = primary.standby()
                run.pause(0.0, 1.0)
                primary.kill()
                standby.promote()
                proxy.server = standby
                primary.end()
                primary = standby
                run.pause(0.0, 1.0)
        finally:
            over.set()
        for one in works:
            one.result(60)
        for node in nodes:
            node.check()
    primary.end()
    run.figure("promotions", run.count(FAILOVERS), "10")
    run.figure("tasks", sum(len(node.ids) for node in nodes))
