"""Who shares a transaction shares its commit, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.task import Change
from duly.engine.storethread import StoreThread
from duly.ports import CancelAsked, Request, Want
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import SECONDS, asked, lane_of, posted, submission


@pytest.fixture
def thread() -> Iterator[StoreThread]:
    made = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 1.0)
    yield made
    made.close()


def together(thread: StoreThread, *jobs: Any) -> list[Any]:
    """Post jobs while the store is busy, so that they are taken up at once; return what they come to."""
    begun, rest = threading.Event(), threading.Event()
    posted(thread, lambda _: (begun.set(), rest.wait(SECONDS)))
    assert begun.wait(SECONDS)
    answers = [posted(thread, job) for job in jobs]
    rest.set()
    return [answer.get(timeout=SECONDS) for answer in answers]


def held_by_a_dead_node(thread: StoreThread, *ids: str) -> list[Change]:
    """Tasks that a node holds, and what is to become of them when it is rescued."""
    lane = asked(thread, lane_of)
    node = asked(thread, lambda store: store.enlist(ids[0], "", ""))
    asked(thread, Request(submits=[submission(task_id, lane) for task_id in ids]))
    claims = asked(thread, Request(node=node, number=1, wants=[Want([lane], len(ids))])).claims
    return [lifecycle.rescue(held, Policy(), 1, 0.5) for held in claims]


def test_a_node_is_not_told_what_missed_of_a_rescue_beside_it(thread: StoreThread) -> None:
    changes = held_by_a_dead_node(thread, "a", "b")
    asked(thread, Request(changes=changes))  # somebody else was there first
    node = asked(thread, lambda store: store.enlist("living", "", ""))

    mine, rescue = together(thread, Request(node=node, number=1, wants=[Want([1], 9)]), Request(changes=changes))
    assert (mine.misses, len(mine.claims)) == ([], 2)
    assert len(rescue.misses) == 2


def test_two_who_rescue_the_same_node_at_once_do_not_fail_each_other_or_anybody(thread: StoreThread) -> None:
    changes = held_by_a_dead_node(thread, "a", "b")
    first, second, submit = together(
        thread, Request(changes=changes), Request(changes=changes), Request(submits=[submission("c")])
    )
    assert [len(first.misses), len(second.misses)] == [0, 2]
    assert submit.submitted == {"c": "created"}
    assert [row.losses for row in asked(thread, lambda store: store.find(["a", "b"]))] == [1, 1]


def test_what_nobody_can_store_fails_its_own_sender_alone(thread: StoreThread) -> None:
    changes = held_by_a_dead_node(thread, "a")
    cancel, rescue, submit = together(
        thread,
        Request(cancels=[CancelAsked("a", "\ud800")]),
        Request(changes=changes),
        Request(submits=[submission("b")]),
    )
    assert isinstance(cancel, UnicodeEncodeError)
    assert rescue.misses == []
    assert submit.submitted == {"b": "created"}


def test_no_more_tasks_share_a_transaction_than_are_stored_quickly(
    thread: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.storethread.MOST_TOGETHER", 5)
    asked(thread, lane_of)
    sizes = (2, 3, 1, 7, 1)
    requests = [Request(submits=[submission(f"{place}.{n}") for n in range(size)]) for place, size in enumerate(sizes)]
    first, second, third, large, last = together(thread, *requests)
    assert (first is second, second is third, third is large, large is last) == (True, False, False, False)
    assert [len(reply.submitted) for reply in (first, third, large, last)] == [5, 1, 7, 1]


def test_a_submit_and_a_cancel_of_one_task_are_each_answered_for_themselves(thread: StoreThread) -> None:
    lane = asked(thread, lane_of)
    asked(thread, Request(submits=[submission("t", lane)]))
    again, cancel = together(
        thread, Request(submits=[submission("t", lane)]), Request(cancels=[CancelAsked("t", "enough")])
    )
    assert again.submitted == {"t": "existing"}
    assert cancel.cancelled == {"t": "cancelled"}
