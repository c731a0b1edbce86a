from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.engine import worker as worker_module
from duly.engine.worker import Worker
from duly.errors import StoreUnavailable
from tests.engine import errands
from tests.helpers import eventually

SECONDS = 30


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.02) as app:
        app.action("errand:stay", timeout=None)(errands.stay)
        app.action("errand:nothing")(errands.nothing)
        yield app


def worker(app: duly.App) -> Worker:
    made = app.make_worker(1, None)
    assert isinstance(made, Worker)
    return made


def signalled_while(act: Callable[[], None], run: Callable[[], None]) -> None:
    """Run in this, the main, thread, while another acts."""
    problems: list[BaseException] = []

    def acting() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            problems.append(error)
            signal.raise_signal(signal.SIGTERM)

    thread = threading.Thread(target=acting)
    thread.start()
    run()
    thread.join(SECONDS)
    if problems:
        raise problems[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_old_handlers_are_back_afterwards(app: duly.App, number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    handle = app.submit("errand:nothing")

    def act() -> None:
        handle.result(timeout=SECONDS)
        signal.raise_signal(number)

    signalled_while(act, worker(app).run_until_signalled)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before
    assert not app.nodes()


def test_a_second_signal_hurries(app: duly.App) -> None:
    handle = app.submit("errand:stay")

    def act() -> None:
        assert any(event.kind == "update" for event in handle.events())
        signal.raise_signal(signal.SIGTERM)
        threading.Event().wait(worker_module.SAME_SECONDS)
        signal.raise_signal(signal.SIGINT)

    signalled_while(act, worker(app).run_until_signalled)
    assert handle.result(timeout=0) == "drain"


def test_the_same_signal_twice_at_once_is_one(app: duly.App, monkeypatch: pytest.MonkeyPatch) -> None:
    made, stop, heard = worker(app), Worker.stop, list[bool]()

    def heeded(self: Worker, *, hurry: bool = False) -> None:
        heard.append(hurry)
        stop(self, hurry=hurry)

    def act() -> None:
        eventually(app.nodes)
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Worker, "stop", heeded)
    signalled_while(act, made.run_until_signalled)
    assert True not in heard


def test_a_second_signal_hurries_though_the_first_is_still_being_heard(
    app: duly.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, stop, heard = worker(app), Worker.stop, list[bool]()

    def stop_while_the_next_comes(self: Worker, *, hurry: bool = False) -> None:
        heard.append(hurry)
        if len(heard) == 1:
            signal.raise_signal(signal.SIGINT)
        stop(self, hurry=hurry)

    def act() -> None:
        eventually(app.nodes)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(worker_module, "SAME_SECONDS", 0.0)
    monkeypatch.setattr(Worker, "stop", stop_while_the_next_comes)
    signalled_while(act, made.run_until_signalled)
    assert heard == [False, True]


def test_in_another_thread_it_works_without_touching_signals(app: duly.App) -> None:
    before = signal.getsignal(signal.SIGTERM)
    made = worker(app)
    thread = threading.Thread(target=made.run_until_signalled)
    thread.start()
    app.submit("errand:nothing").result(timeout=SECONDS)
    assert signal.getsignal(signal.SIGTERM) is before
    made.stop()
    thread.join(SECONDS)
    assert not app.nodes()


def test_what_it_stopped_for_is_raised_when_it_is_closed(app: duly.App, caplog: pytest.LogCaptureFixture) -> None:
    made = worker(app)
    made.start()

    def fail() -> None:
        raise StoreUnavailable("the disk is gone")

    made._node._tell(fail)
    eventually(lambda: "the worker stops: the disk is gone" in caplog.text)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="the disk is gone"):
            made.close()


def test_it_is_stopped_before_it_has_begun(app: duly.App) -> None:
    made = worker(app)
    made.stop()
    made.run()
    assert not app.nodes()


def test_a_worker_that_is_stopped_while_its_node_is_given_up_begins_no_other(
    app: duly.App, caplog: pytest.LogCaptureFixture
) -> None:
    made = worker(app)
    made.start()
    node: Any = made._node
    made._stopping = True
    node._tell(_give_up)
    assert made._ended.wait(SECONDS)
    made.close()
    assert not any(lives for _, lives in app.nodes())


def _give_up() -> None:
    from duly.engine.node import GivenUp

    raise GivenUp
