"""Somebody's open transaction holds what is to be written: that waits for it, and nothing else does for long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

import duly
from tests.engine import errands
from tests.helpers import eventually

SECONDS = 60
LEASE = 3.0

Seen = Callable[[], dict[int, int]]


@pytest.fixture
def seen(database: str) -> Iterator[Seen]:
    """Tells when each node was heard last that was not given up, in microseconds of the server's clock."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield lambda: dict(connection.execute("select number, seen from duly.node where not lost").fetchall())


def starts(app: duly.App, handle: duly.Handle[Any]) -> int:
    return [event.kind for event in app.look(handle.id)[1]].count("start")


def test_a_node_lives_on_while_a_child_of_its_task_is_in_somebodys_open_transaction(
    database: str, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(duly.App(database, poll=0.1, lease=LEASE)) as app, psycopg.connect(database) as other:
        tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
        leave = app.action("errand:leave")(errands.leave_a_child)
        child = app.action("errand:nothing")(errands.nothing).passport()
        app.submit(child, connection=other)
        with app.worker(2):
            long = tell.submit()
            eventually(lambda: starts(app, long) == 1)
            parent = leave.submit(child.id)
            ((node, since),) = seen().items()
            eventually(lambda: seen().get(node, 0) > since + 2 * LEASE * 1e6 or node not in seen(), SECONDS)
            assert list(seen()) == [node], "it has given itself up"
            assert "others have held what is to be written" in caplog.text
            other.rollback()
            parent.result(timeout=SECONDS)
            assert app.handle(child.id).wait(SECONDS).state == "succeeded"
            assert starts(app, long) == 1
            assert list(seen()) == [node]
            long.cancel()
            assert long.wait(SECONDS).state == "cancelled"
