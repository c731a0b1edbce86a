"""Attempts, submissions and questions to a store's thread, with as little said as a test needs."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import msgspec

from duly.core.action import Isolation, Policy
from duly.core.estimate import RunTime
from duly.core.task import Held, State
from duly.engine.attempt import Attempt
from duly.engine.storethread import StoreThread
from duly.ports import CancelAsked, Request, Submission
from duly.store.sqlite.store import SqliteStore

SECONDS = 30


def attempt(
    key: int = 1,
    *,
    band: int = 1,
    rank: int = 0,
    seconds: float | None = None,
    isolation: Isolation = "process",
    **held: Any,
) -> Attempt:
    """An attempt at a task, whose lane's tasks are known to run for so many seconds."""
    time = RunTime()
    time.seconds = seconds
    fields = {"claim": 7, "id": f"task-{key}", "lane": 1, "attempt": 1, **held}
    return Attempt(Held(key=key, band=band, rank=rank, **fields), 0, Policy(), time, isolation)


def submission(task_id: str, lane: int = 1, *, state: int = State.READY, band: int = 1, bell: str = "") -> Submission:
    return Submission(task_id, lane, state, band, 0, 1, 0, None, None, "{}", "", bell)


def posted(thread: StoreThread, job: Any) -> SimpleQueue[Any]:
    """Post a job; what it comes to, or its error, is put into the queue."""
    answer: SimpleQueue[Any] = SimpleQueue()
    thread.post(job, lambda result, error: answer.put(error if error is not None else result))
    return answer


def asked(thread: StoreThread, job: Any) -> Any:
    """Post a job, and return what it comes to, or raise its error."""
    answer = posted(thread, job).get(timeout=SECONDS)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def lane_of(store: SqliteStore) -> int:
    (lane,) = store.lanes([("default", "test:it", 1)])
    return lane.number


def cancelled(store: SqliteStore, task_id: str) -> None:
    store.exchange(Request(cancels=[CancelAsked(task_id, "enough")]))


def kinds(store: SqliteStore, task_id: str) -> list[str]:
    """The kinds of a task's events, without its first."""
    return [kind for run in store.events(task_id, 0, 99) for kind, _, _ in msgspec.json.decode(run.body)]
