"""A cancel is committed while the answer of a short attempt is on its way: the answer misses, and is decided again."""

import msgspec
import pytest

from duly.core.action import Policy
from duly.core.estimate import RunTime
from duly.core.outcome import Raised, Success
from duly.core.task import State
from duly.engine.attempt import Attempt
from duly.engine.cycle import Cycle
from duly.errors import ErrorData
from duly.ports import CancelAsked, Request, Submission, Want
from duly.store.sqlite.store import SqliteStore

NOW = 1_000_000_000


@pytest.fixture
def store():
    store = SqliteStore(":memory:", clock=lambda: NOW)
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize("outcome", [Success('"yes"'), Raised(ErrorData(type="ValueError", message="no"))])
def test_what_the_attempt_told_and_when_it_began_is_kept_with_the_cancelled_task(store, outcome):
    (lane,) = store.lanes([("default", "email:send", 1)])
    node = store.enlist("node", "", "")
    store.exchange(Request(submits=[Submission("id", lane.number, State.READY, 1, 0, 1, 0, None, None, "{}", "", "")]))
    let_go: list[Attempt] = []
    cycle = Cycle(node, lambda: NOW + 9, let_go.append)
    reply = store.exchange(cycle.request([Want([lane.number], 1)]))
    cycle.answered(reply)
    attempt = Attempt(reply.claims[0], 0, Policy(), RunTime())
    store.exchange(Request(cancels=[CancelAsked("id", "enough")]))

    attempt.started_at, attempt.info = NOW + 5, '{"pages":3}'
    attempt.events = [("start", NOW + 5, None), ("info", NOW + 6, {"pages": 3})]
    cycle.finish(attempt, outcome)
    cycle.answered(store.exchange(cycle.request([])))
    cycle.answered(store.exchange(cycle.request([])))

    (row,) = store.find(["id"])
    assert (State(row.state), row.value, row.cause) == (State.CANCELLED, None, "cancel")
    assert (row.started_at, row.info) == (NOW + 5, '{"pages":3}')
    told = [kind for run in store.events("id", 0, 99) for kind, _, _ in msgspec.json.decode(run.body)]
    assert told == ["verdict", "start", "info", "rejected", "cancel"]
    assert not let_go
    assert not cycle.anything()
