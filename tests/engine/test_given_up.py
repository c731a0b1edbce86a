"""A node that was given up takes nobody down with it who shared its transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from duly.engine.storethread import StoreThread
from duly.ports import Reply, Request, Submission
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore

SECONDS = 30


@pytest.fixture
def thread() -> Iterator[StoreThread]:
    made = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 1.0)
    yield made
    made.close()


def posted(thread: StoreThread, job: Any) -> SimpleQueue[Any]:
    answer: SimpleQueue[Any] = SimpleQueue()
    thread.post(job, lambda result, error: answer.put(error if error is not None else result))
    return answer


def test_what_was_submitted_beside_it_is_stored_all_the_same(thread: StoreThread) -> None:
    lane = posted(thread, lambda store: store.lanes([("default", "test:it", 1)])).get(timeout=SECONDS)[0].number
    rest = threading.Event()
    posted(thread, lambda _: rest.wait(SECONDS))  # so that both requests go into the next transaction
    unknown = posted(thread, Request(node=77, number=1, submits=[_submission("node's", lane)]))
    submitted = posted(thread, Request(submits=[_submission("mine", lane)]))
    rest.set()

    reply: Reply = unknown.get(timeout=SECONDS)
    assert not reply.done
    reply = submitted.get(timeout=SECONDS)
    assert (reply.done, reply.submitted) == (True, {"mine": "created"})
    rows = posted(thread, lambda store: store.find(["mine", "node's"])).get(timeout=SECONDS)
    assert [row.id for row in rows] == ["mine"]


def _submission(task_id: str, lane: int) -> Submission:
    return Submission(task_id, lane, 2, 1, 0, 1, 0, None, None, "{}", "", "")
