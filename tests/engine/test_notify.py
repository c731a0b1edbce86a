"""What a service manager is told, by the socket that it names."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import duly
from duly.engine.notify import Notifier
from duly.engine.worker import SAME_SECONDS
from tests.engine import errands
from tests.engine.making import SECONDS


class Manager:
    """A service manager's end: a datagram socket, and what came by it."""

    def __init__(self, address: str) -> None:
        self.told = address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.settimeout(SECONDS)
        self._sock.bind("\0" + address[1:] if address.startswith("@") else address)

    def next(self) -> str:
        return self._sock.recv(4096).decode()

    def until(self, wanted: str) -> list[str]:
        """All that is told up to this."""
        told = [self.next()]
        while told[-1] != wanted:
            told.append(self.next())
        return told

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = f"{tmp_path}/notify" if request.param == "path" else f"@duly-test-{os.getpid()}-{os.urandom(4).hex()}"
    manager = Manager(address)
    yield manager
    manager.close()


def test_a_worker_tells_when_it_is_ready_that_it_is_well_how_it_stands_and_when_it_stops(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.told)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    told: list[str] = []
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.02) as app:
        app.action("errand:stay", timeout=None)(errands.stay)
        handle = app.submit("errand:stay")
        worker = app.make_worker(1, None)

        def act() -> None:
            told.extend(manager.until("READY=1"))
            told.extend(manager.until("STATUS=1 tasks running in 2 runners, 0 waiting for one"))
            told.extend(manager.until("WATCHDOG=1"))
            signal.raise_signal(signal.SIGTERM)
            told.extend(manager.until("STOPPING=1"))
            assert manager.until("WATCHDOG=1"), "it still goes round"
            threading.Event().wait(SAME_SECONDS)
            signal.raise_signal(signal.SIGTERM)

        thread = threading.Thread(target=act)
        thread.start()
        worker.run_until_signalled()
        thread.join(SECONDS)
        assert handle.result(timeout=0) == "drain"
    assert told.index("READY=1") < told.index("STOPPING=1")


def test_a_worker_in_a_users_program_and_its_tasks_tell_nothing(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.told)
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        known = app.action("errand:environment")(errands.environment)
        with app.worker(1):
            assert "NOTIFY_SOCKET" not in known.submit().result(timeout=SECONDS)
    Notifier(os.environ).ready()
    assert manager.next() == "READY=1", "nothing came before"


def test_nobody_waits_for_a_service_manager_that_does_not_read_or_is_gone(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.told})
    for number in range(10_000):
        notifier.status(f"{number}")
    manager.close()
    notifier.stopping()


@pytest.mark.parametrize(
    ("told", "seconds"),
    [({"WATCHDOG_USEC": "3000000"}, 1.5), ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None), ({}, None),
     ({"WATCHDOG_USEC": "soon"}, None), ({"WATCHDOG_USEC": "0"}, None),
     ({"WATCHDOG_USEC": "3000000", "NOTIFY_SOCKET": ""}, None),
     ({"WATCHDOG_USEC": "9", "NOTIFY_SOCKET": "vsock:2:1"}, None)],
)  # fmt: skip
def test_how_often_it_is_told_that_all_is_well_is_for_the_service_manager_to_say(
    told: dict[str, str], seconds: float | None
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/notify", **told}).interval == seconds
