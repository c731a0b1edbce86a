"""A node under a lease: heard at each poll, and at its end before anybody else may take what it holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from math import inf
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import apsw
import pytest

import duly
from duly.core.action import ActionSpec
from duly.engine.console import Console
from duly.engine.lease import Lease
from duly.engine.node import COMPARE_POLLS, GivenUp, Node
from duly.engine.roster import Roster
from duly.engine.settings import Settings
from duly.engine.storethread import StoreThread
from duly.errors import StoreBusy
from duly.ports import Reply, Request, Want
from duly.runner.pool import Pool
from duly.runner.targets import from_callable
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.engine import errands
from tests.engine.making import SECONDS, asked, submission
from tests.helpers import alive, eventually

LEASE = 2.0


class Leased(SqliteStore):
    """A store that could not see whether a node's process lives."""

    lease = LEASE  # type: ignore[assignment]
    exchanges = 0
    anew = False

    def exchange(self, request: Request) -> Reply:
        reply = super().exchange(request)
        self.exchanges += request.node is not None
        reply.anew, self.anew = self.anew, False
        return reply


@pytest.fixture
def store(tmp_path: Path) -> Leased:
    return Leased(f"{tmp_path}/tasks.db")


@pytest.fixture
def thread(store: Leased) -> Iterator[StoreThread]:
    thread = StoreThread(lambda: store, DatagramBell, 0.05)
    yield thread
    thread.close()


@pytest.fixture
def app(thread: StoreThread, tmp_path: Path) -> duly.App:
    app = duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.05)
    app._thread = thread
    return app


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[Callable[[], apsw.Connection]]:
    """Takes the write lock, so that no exchange is answered until it is rolled back."""
    held: list[apsw.Connection] = []

    def take() -> apsw.Connection:
        held.append(apsw.Connection(str(tmp_path / "tasks.db")))
        held[0].set_busy_timeout(10_000)
        held[0].execute("begin immediate")
        return held[0]

    yield take
    for connection in held:
        connection.close()


def node(thread: StoreThread, poll: float = 0.02, make_bell: Callable[[], DatagramBell] = DatagramBell) -> Node:
    roster = Roster([(ActionSpec(name="errand:stay"), from_callable(errands.stay))])
    return Node(thread, Pool, make_bell, roster, Settings(1, poll=poll), Console(None))


def claims(thread: StoreThread, node: Node) -> list[int]:
    return [held.claim for held in asked(thread, lambda store: store.held(node._number, 9))]


class Times:
    """What the clock says that no sleep stops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("duly.engine.lease.awake_or_not", lambda: self.now)

    def pass_(self, lease: Lease, seconds: float) -> float:
        """Let a node turn as often as one does."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.1)
            lease.turned()
        return lease.turned()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


def test_without_a_lease_there_is_no_end_and_no_excuse(times: Times) -> None:
    lease = Lease()
    lease.begin(None, away=True)
    assert times.pass_(lease, 1e3) == inf
    assert lease.beat(60.0) == 60.0
    assert lease.blames()


def test_a_lease_is_renewed_from_when_the_answered_exchange_was_sent(times: Times) -> None:
    lease = Lease()
    lease.begin(30.0, away=False)
    lease.sent()
    assert times.pass_(lease, 20.0) == pytest.approx(5.0)
    lease.renewed()
    assert lease.turned() == pytest.approx(5.0), "the store may have heard of it when it was sent, and never again"
    lease.sent()
    lease.renewed()
    assert times.pass_(lease, 24.0) == pytest.approx(1.0)
    assert times.pass_(lease, 2.0) == pytest.approx(-1.0)


def test_who_was_heard_before_an_exchange_was_carried_out_has_a_lease_from_then_on(times: Times) -> None:
    lease = Lease()
    lease.begin(30.0, away=False)
    lease.sent()
    times.pass_(lease, 10.0)
    lease.renewed_by(times.now - 1.0)
    assert times.pass_(lease, 20.0) == pytest.approx(4.0)
    lease.renewed()
    assert lease.turned() == pytest.approx(4.0), "the exchange came later than that, and this is all that is known"


def test_who_could_not_be_heard_blames_nobody_for_that_soon_after(times: Times) -> None:
    lease = Lease()
    lease.begin(30.0, away=False)
    assert lease.blames()
    times.pass_(lease, 16.0)
    assert lease.away()
    lease.sent()
    lease.renewed()
    assert (lease.away(), lease.blames()) == (False, False)
    times.pass_(lease, 31.0)
    assert lease.blames()


def test_who_stood_still_himself_knows_nothing_of_others(times: Times) -> None:
    lease = Lease()
    lease.begin(30.0, away=False)
    times.now += 40.0  # stopped, or a task took all of the machine
    assert lease.turned() < 0
    assert not lease.away()
    lease.sent()
    lease.renewed()
    assert lease.blames()


def test_who_begins_after_the_store_was_away_blames_nobody_for_a_while(times: Times) -> None:
    lease = Lease()
    lease.begin(30.0, away=True)
    assert not lease.blames()
    times.pass_(lease, 31.0)
    assert lease.blames()


def test_what_runs_is_killed_before_the_lease_ends_and_another_node_begins_when_the_store_is_back(
    app: duly.App,
    lock: Callable[[], apsw.Connection],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 0.2)
    tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
    with app.worker(1):
        handle = tell.submit()
        pid = next(event.data["data"] for event in handle.events() if event.kind == "update")
        ((first, _),) = app.nodes()
        held = lock()
        since = time.monotonic()
        eventually(lambda: not alive(pid), LEASE)
        assert time.monotonic() - since < LEASE
        eventually(lambda: "given up by itself" in caplog.text)
        held.execute("rollback")
        told = (event.data["data"] for event in handle.events() if event.kind == "update")
        assert alive(next(other for other in told if other != pid))
        assert app.look(handle.id)[0].losses == 0, "it is not what the node was lost for"
        assert first.number not in [row.number for row, lives in app.nodes() if lives]
        handle.cancel()
        assert handle.wait(SECONDS).state == "cancelled"
    assert caplog.text.count("trying again, four times a second") <= 2


def test_a_node_that_has_nothing_to_say_is_heard_all_the_same(
    thread: StoreThread, store: Leased, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the user's code is being imported: that may take longer than a lease."""
    quiet = node(thread)
    try:
        quiet._begin()
        monkeypatch.setattr(quiet._floor, "_hear_prepared", lambda *_: None)
        eventually(lambda: quiet._turn() or store.exchanges > 5)
        assert quiet._lease.turned() > 0.5
    finally:
        quiet.close()


class Waits(Leased):
    """What it is told waits for others without end; who says nothing is told whether that was done all the same."""

    waits = done_before = False

    def exchange(self, request: Request) -> Reply:
        if self.waits and request.node is not None and (request.wants or not request.empty()):
            raise StoreBusy("others hold it")
        self.anew = self.done_before
        return super().exchange(request)


@pytest.mark.parametrize("done_before", [False, True])
def test_a_node_whose_exchange_waits_for_others_lives_by_what_is_heard_without_it(
    tmp_path: Path, done_before: bool
) -> None:
    store = Waits(f"{tmp_path}/tasks.db")
    with closing(StoreThread(lambda: store, DatagramBell, 0.05)) as thread, closing(node(thread)) as one:
        one._begin()
        eventually(lambda: one._turn() or store.exchanges > 2)
        store.waits, store.done_before = True, done_before
        heard, until = store.exchanges, time.monotonic() + 1.5 * LEASE
        with pytest.raises(GivenUp) if done_before else nullcontext():  # the store has renewed nothing then
            while time.monotonic() < until:
                one._turn()
        assert store.exchanges > heard + 2


def test_a_node_that_looks_seldom_by_itself_is_heard_in_time(thread: StoreThread, store: Leased) -> None:
    seldom = node(thread, poll=60)
    try:
        seldom._begin()
        until = time.monotonic() + 1.5 * LEASE
        while time.monotonic() < until:
            seldom._turn()
        assert store.exchanges > 5
    finally:
        seldom.close()


def test_while_the_store_is_away_a_node_asks_it_nothing_twice(thread: StoreThread, store: Leased) -> None:
    """Each of these takes long then, and whatever comes after would come ever later."""
    one, over = node(thread), threading.Event()
    try:
        one._begin()
        eventually(lambda: one._turn() or (store.exchanges > 2 and not one._cycle.under_way and not one._inquiries))
        thread.post(lambda _: over.wait(SECONDS), lambda *_: None)
        eventually(lambda: not thread._jobs)
        for _ in range(COMPARE_POLLS + 5):
            one._poll(time.monotonic())
            one._exchange()
        assert len(thread._jobs) <= 3, "an exchange, who is dead, and what is held"
    finally:
        over.set()
        one.close()


class Mended(DatagramBell):
    """Counts how often it was asked to be silent, by which one that has broken mends itself."""

    times = 0

    def silence(self) -> None:
        super().silence()
        self.times += 1


def test_a_nodes_bell_that_nobody_rings_is_asked_at_each_poll(thread: StoreThread) -> None:
    bell = Mended()
    one = node(thread, make_bell=lambda: bell)
    try:
        one._begin()
        eventually(lambda: one._turn() or bell.times > 3)
    finally:
        one.close()


def test_after_an_answer_that_was_made_anew_it_is_compared_at_once_what_is_held(
    thread: StoreThread, store: Leased, caplog: pytest.LogCaptureFixture
) -> None:
    one = node(thread)
    try:
        one._begin()
        eventually(lambda: one._turn() or (store.exchanges > 2 and not one._cycle.under_way))
        (lane,) = asked(thread, lambda store: store.lanes())
        asked(thread, Request(submits=[submission("lost", lane.number)]))
        number = one._cycle._number
        (held,) = asked(thread, Request(node=one._number, number=number, wants=[Want([lane.number], 1)])).claims
        one._cycle._number += 1  # the answer to that was lost on its way
        polls, store.anew = one._polls, True
        eventually(lambda: one._turn() or "is this node's by the store, and not here" in caplog.text)
        assert one._polls - polls < 10
        eventually(lambda: one._turn() or held.claim not in claims(thread, one))
    finally:
        one.close()


def test_a_node_that_waits_for_the_store_to_come_back_can_be_told_to_end(thread: StoreThread) -> None:
    over = threading.Event()
    thread.post(lambda _: over.wait(SECONDS), lambda *_: None)
    waits = node(thread)
    ended: SimpleQueue[Any] = SimpleQueue()
    runs = threading.Thread(target=lambda: ended.put(waits.run(GivenUp())))
    runs.start()
    waits.drain()
    try:
        assert ended.get(timeout=SECONDS) is None
        assert waits._number == 0
    finally:
        over.set()
        runs.join(SECONDS)
