"""A server that goes away and comes back: workers and whoever waits go on, others hear of it in time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import duly
from duly.errors import StoreAway
from duly.store.postgres.connection import Connection
from tests.engine import errands
from tests.engine.making import asked, posted
from tests.faults.proxy import Fate, Proxy
from tests.helpers import alive, eventually

if TYPE_CHECKING:
    from tests.server import Server

SECONDS = 60
LEASE = 3.0


@pytest.fixture
def app(own_server: Server) -> Iterator[duly.App]:
    with duly.App(own_server.url(), poll=0.1, lease=LEASE) as app:
        yield app


def begun(handle: duly.Handle[Any], *others: int) -> int:
    """The process that runs a task, once it is told to be another one than those."""
    for event in handle.events():
        if event.kind == "update" and event.data["data"] not in others:
            return int(event.data["data"])
    raise AssertionError("it has ended")


def in_thread(act: Callable[[], Any]) -> SimpleQueue[Any]:
    came: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            came.put(act())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            came.put(error)

    threading.Thread(target=run, daemon=True).start()
    return came


def test_a_restart_shorter_than_the_lease_stops_nothing_that_runs(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with duly.App(own_server.url(), poll=0.1, lease=20.0) as app:
        tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
        with app.worker(1):
            handle = tell.submit()
            pid = begun(handle)
            waited = in_thread(handle.wait)
            ((node, _),) = app.nodes()
            own_server.kill()
            own_server.start()
            assert eventually(lambda: app.submit("errand:other").state, SECONDS) == "ready"
            assert alive(pid)
            assert [row.number for row, _ in app.nodes()] == [node.number]
            handle.cancel()
            assert waited.get(timeout=SECONDS).state == "cancelled"
    assert "given up" not in caplog.text


def test_what_runs_is_stopped_in_time_and_goes_on_under_another_node_when_the_server_is_back(
    app: duly.App, own_server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 1.0)
    tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
    with app.worker(1):
        handle = tell.submit()
        pid = begun(handle)
        waited = in_thread(handle.wait)
        own_server.stop()
        since = time.monotonic()
        eventually(lambda: not alive(pid), LEASE)
        eventually(lambda: "given up by itself" in caplog.text)
        assert time.monotonic() - since < LEASE
        with pytest.raises(StoreAway):
            app.submit("errand:other")
        own_server.start()
        begun(handle, pid)
        row = app.look(handle.id)[0]
        assert (row.attempt, row.losses, row.suspect) == (1, 0, 0)
        handle.cancel()
        assert waited.get(timeout=SECONDS).state == "cancelled"
        ((node, lives),) = app.nodes()
        assert lives
        assert node.number > 1
    assert not app.nodes()


def test_a_submitter_hears_of_it_in_ten_seconds_and_the_same_again_is_one_task(
    app: duly.App, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 0.5)
    app.submit("errand:first")
    own_server.stop()
    passport = app.passport("errand:other")
    since = time.monotonic()
    with pytest.raises(StoreAway):
        app.submit(passport)
    with pytest.raises(StoreAway):
        asyncio.run(app.asubmit(passport))
    assert time.monotonic() - since < 5
    own_server.start()
    assert eventually(lambda: app.submit(passport).id) == passport.id
    assert len(list(app.tasks(action="errand:other"))) == 1


def test_who_has_waited_while_others_were_tried_does_not_wait_as_long_once_more(
    app: duly.App, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 1.0)
    app.submit("errand:first")
    own_server.stop()
    since = time.monotonic()
    answers = [posted(app._thread, lambda store: store.nodes()) for _ in range(6)]
    assert all(isinstance(answer.get(timeout=SECONDS), StoreAway) for answer in answers)
    assert time.monotonic() - since < 4


def test_an_answer_that_never_comes_is_no_error_of_who_asked(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "answer_seconds", 0.6)
    with Proxy(own_server) as proxy, duly.App(proxy.url(), poll=0.1) as app:
        order = app.action("errand:order")(errands.order)
        order.submit("first", f"{tmp_path}/log")
        eventually(lambda: asked(app._thread, lambda store: store._ringer.is_rested()))  # who rings says COMMIT
        with monkeypatch.context() as hasty:  # each who asks does so twice all the same
            hasty.setattr("duly.engine.storethread.PATIENCE", 0.5)
            proxy.decide(lambda number: Fate.SILENCE if number <= 2 else Fate.PASS)
            handles = [order.submit("0", f"{tmp_path}/log")]
        assert proxy.hits == 2
        with app.worker(1):
            fates = [Fate.SILENCE, Fate.PASS, Fate.PASS, Fate.SWALLOW, Fate.PASS, Fate.TEAR]
            proxy.decide(lambda number: fates[number % len(fates)] if number < 25 else Fate.PASS)
            handles += [order.submit(str(number), f"{tmp_path}/log") for number in range(1, 10)]
            for handle in handles:
                handle.result(timeout=SECONDS)
            assert proxy.hits >= 8
        told = [[event.kind for event in app.look(handle.id)[1]] for handle in handles]
    assert told == [["init", "start", "success"]] * 10
    assert sorted((tmp_path / "log").read_text().split()) == sorted(["first", *map(str, range(10))])


def test_a_worker_is_ended_while_the_server_is_away(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 0.5)
    with duly.App(own_server.url(), poll=0.1, lease=LEASE, drain_timeout=0.1) as app:
        tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
        with app.worker(1):
            pid = begun(tell.submit())
            own_server.stop()
            eventually(lambda: not alive(pid), 2 * LEASE)
        own_server.start()
        eventually(lambda: app.submit("errand:other").state, SECONDS)


def test_a_worker_does_not_begin_where_no_server_is(own_server: Server) -> None:
    own_server.stop()
    with duly.App(own_server.url()) as app:
        app.action("errand:nothing")(errands.nothing)
        with pytest.raises(StoreAway), app.worker(1):
            pass


STOPPED = """
import logging, sys
import duly
from tests.engine import errands

logging.basicConfig(stream=sys.stdout)
app = duly.App(sys.argv[1], poll=0.1, lease=float(sys.argv[2]))
app.action("errand:tell", timeout=None)(errands.tell_pid)
app.run_worker(1)
"""


def test_a_node_that_stood_still_beyond_its_lease_runs_nothing_on_that_is_anothers(
    app: duly.App, own_server: Server
) -> None:
    tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
    handle = tell.submit()
    node = subprocess.Popen(
        [sys.executable, "-c", STOPPED, own_server.url(), str(LEASE)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": ".:src"},
    )  # fmt: skip
    try:
        first = begun(handle)
        node.send_signal(signal.SIGSTOP)
        with app.worker(1):
            second = begun(handle, first)
            eventually(lambda: not alive(first))  # who rescues sweeps what is left on its own machine
            node.send_signal(signal.SIGCONT)
            eventually(lambda: len([row for row, lives in app.nodes() if lives]) == 2)
            assert alive(second)
            handle.cancel()
            assert handle.wait(SECONDS).state == "cancelled"
        node.send_signal(signal.SIGTERM)
        said, _ = node.communicate(timeout=SECONDS)
        assert "given up" in said
        assert node.returncode == 0
    finally:
        node.kill()
        node.wait()
