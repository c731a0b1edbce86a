from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from duly.core.task import State
from duly.engine import storethread
from duly.engine.desk import NEVER
from duly.engine.storethread import RIPPLE_SECONDS, StoreThread, merged
from duly.engine.waits import Done
from duly.errors import StoreBusy, StoreFull, StoreUnavailable
from duly.ports import CancelAsked, Request, Store, Submission
from duly.store.postgres.store import PostgresStore
from duly.store.sqlite.bell import DatagramBell, Ringer
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import SECONDS, asked, lane_of, posted, submission
from tests.helpers import eventually


def made(path: Path, poll: float = 60.0) -> StoreThread:
    return StoreThread(lambda: SqliteStore(f"{path}/tasks.db"), DatagramBell, poll)


@pytest.fixture
def thread(tmp_path: Path) -> Iterator[StoreThread]:
    thread = made(tmp_path)
    yield thread
    thread.close()


@pytest.fixture
def lane(thread: StoreThread) -> int:
    return int(asked(thread, lane_of))


class Held:
    """Keeps the store busy, so that what is posted meanwhile comes into one turn."""

    def __init__(self, thread: StoreThread) -> None:
        self._rest = threading.Event()
        begun = threading.Event()
        posted(thread, lambda _: (begun.set(), self._rest.wait(SECONDS)))
        assert begun.wait(SECONDS)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._rest.set()


def submit(*tasks: Submission) -> Request:
    return Request(submits=list(tasks))


def test_nothing_is_opened_before_it_is_needed(thread: StoreThread, tmp_path: Path) -> None:
    assert thread.address == ""
    assert not os.listdir(tmp_path)
    thread.open()
    thread.open()
    assert thread.address
    assert os.path.exists(tmp_path / "tasks.db")


def test_what_keeps_a_store_from_opening_is_raised_to_each_who_asks(tmp_path: Path) -> None:
    thread = made(tmp_path / "missing")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            thread.open()
    (tmp_path / "missing").mkdir()
    thread.open()
    thread.close()


def test_requests_that_gather_share_one_transaction(thread: StoreThread, lane: int) -> None:
    with Held(thread):
        answers = [posted(thread, submit(submission(f"t{n}", lane))) for n in range(9)]
    replies = [answer.get(timeout=SECONDS) for answer in answers]
    assert all(reply is replies[0] for reply in replies), "one reply for all: it was one exchange"
    assert replies[0].submitted == {f"t{n}": "created" for n in range(9)}


def test_functions_see_what_was_asked_for_before_them(thread: StoreThread, lane: int) -> None:
    with Held(thread):
        posted(thread, submit(submission("mine", lane)))
        found = posted(thread, lambda store: store.find(["mine"]))
    assert [row.id for row in found.get(timeout=SECONDS)] == ["mine"]


def test_answers_come_in_the_order_of_the_questions(thread: StoreThread) -> None:
    told: SimpleQueue[int] = SimpleQueue()
    with Held(thread):
        for number in range(5):
            thread.post(lambda _, number=number: number, lambda result, _: told.put(result))  # type: ignore[misc]
    assert [told.get(timeout=SECONDS) for _ in range(5)] == list(range(5))


def test_what_is_requested_during_a_call_comes_before_the_next_one_and_calls_keep_their_order(
    either: StoreThread,
) -> None:
    order: list[str] = []

    def request(name: str) -> None:
        either.post(Request(cancels=[CancelAsked(name, "")]), lambda *_: order.append(name))

    def call(name: str, then: Callable[[], None] = lambda: None) -> None:
        either.post(lambda _: (order.append(name), then()), lambda *_: None)

    def during_the_first() -> None:
        request("t")
        call("fourth", lambda: request("v"))
        call("fifth")
        request("u")

    with Held(either):
        call("first", during_the_first)
        call("second")
        call("third", lambda: request("w"))
    asked(either, lambda _: None)
    assert eventually(lambda: len(order) == 9)
    assert order == ["first", "t", "u", "second", "third", "w", "fourth", "v", "fifth"]


def test_an_error_reaches_whom_it_is_for_and_nobody_else(thread: StoreThread, lane: int) -> None:
    with Held(thread):
        wrong = posted(thread, lambda _: 1 // 0)
        right = posted(thread, lambda _: "fine")
        stored = posted(thread, submit(submission("mine", lane)))
    assert isinstance(wrong.get(timeout=SECONDS), ZeroDivisionError)
    assert right.get(timeout=SECONDS) == "fine"
    assert stored.get(timeout=SECONDS).submitted == {"mine": "created"}


def test_a_transaction_that_fails_is_told_to_all_who_shared_it_and_to_nobody_after(
    thread: StoreThread, lane: int
) -> None:
    with Held(thread):
        broken = [posted(thread, submit(submission(name, lane))) for name in ("a", "b")]
        broken.append(posted(thread, submit(submission("c", lane, band=2**70))))
    errors = [answer.get(timeout=SECONDS) for answer in broken]
    assert len({type(error) for error in errors}) == 1
    assert isinstance(errors[0], Exception)
    assert asked(thread, submit(submission("d", lane))).submitted == {"d": "created"}


def test_two_nodes_of_one_app_have_a_transaction_each(thread: StoreThread, lane: int) -> None:
    nodes = [asked(thread, lambda store, name=name: store.enlist(name, "", "")) for name in ("one", "two")]
    with Held(thread):
        answers = [
            posted(thread, Request(node=node, number=1, submits=[submission(f"t{node}", lane)])) for node in nodes
        ]
    replies = [answer.get(timeout=SECONDS) for answer in answers]
    assert [(reply.done, reply.counted) for reply in replies] == [(True, True), (True, True)]
    assert replies[0] is not replies[1]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_cancel_of_what_is_in_some_states_stands_for_no_other_cancel_of_the_same_task(
    thread: StoreThread, lane: int, order: tuple[int, ...]
) -> None:
    asked(thread, submit(submission("t", lane)))
    cancels = [CancelAsked("t", "", (State.SCHEDULED,)), CancelAsked("t", ""), CancelAsked("t", "", (State.RUNNING,))]
    with Held(thread):
        answers = {place: posted(thread, Request(cancels=[cancels[place]])) for place in order}
    found = {place: answer.get(timeout=SECONDS).cancelled for place, answer in answers.items()}
    assert found == {0: {}, 1: {"t": "cancelled"}, 2: {}}


def test_what_is_asked_for_twice_in_one_transaction_is_there_once() -> None:
    first, again = submission("t", 1), submission("t", 1)
    both = merged([
        Request(submits=[first], cancels=[CancelAsked("x", "first")], retries=["y", "z"]),
        Request(submits=[again], cancels=[CancelAsked("x", "second")], retries=["y"]),
        Request(node=3, number=8, ring={"bell"}),
    ])  # fmt: skip
    assert both.submits == [first]
    assert both.cancels == [CancelAsked("x", "first")], "the first reason is kept"
    assert both.retries == ["y", "z"]
    assert (both.node, both.number, both.ring) == (3, 8, {"bell"})


def test_closing_finishes_what_was_posted(thread: StoreThread, lane: int, tmp_path: Path) -> None:
    with Held(thread):
        answers = [posted(thread, submit(submission(f"t{n}", lane))) for n in range(3)]
        own = thread._thread
        closer = threading.Thread(target=thread.close)
        closer.start()
        assert eventually(lambda: thread._closed)
    closer.join(SECONDS)
    assert answers[2].get(timeout=SECONDS).submitted["t2"] == "created"
    assert own is not None
    assert not own.is_alive()


def test_a_closed_store_is_used_no_more_and_can_be_closed_again(thread: StoreThread) -> None:
    thread.open()
    thread.close()
    thread.close()
    for use in (thread.open, lambda: posted(thread, len), lambda: thread.do(len, lambda *_: None)):
        with pytest.raises(StoreUnavailable, match="closed"):
            use()


def test_whoever_waits_is_told_that_the_store_was_closed(thread: StoreThread, lane: int) -> None:
    told: SimpleQueue[BaseException | None] = SimpleQueue()
    asked(thread, submit(submission("t", lane)))
    for _ in range(2):
        watched_by(thread, lambda _, error: told.put(error))
    asked(thread, lambda _: None)
    thread.close()
    assert all(isinstance(told.get(timeout=SECONDS), StoreUnavailable) for _ in range(2))


class Closing(deque[Any]):
    """Jobs that are put in place while another thread closes the store."""

    def __init__(self, thread: StoreThread) -> None:
        super().__init__()
        self.closer = threading.Thread(target=thread.close)

    def append(self, job: Any) -> None:
        self.closer.start()
        self.closer.join(0.1)
        super().append(job)


def test_what_is_posted_while_another_closes_it_is_answered_all_the_same(thread: StoreThread) -> None:
    thread.open()
    thread._jobs = closing = Closing(thread)
    assert posted(thread, lambda _: "done").get(timeout=SECONDS) == "done"
    closing.closer.join(SECONDS)


def test_a_closed_store_holds_no_descriptor(tmp_path: Path) -> None:
    def opened_and_closed() -> int:
        thread = made(tmp_path)
        thread.open()
        thread.close()
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    assert opened_and_closed() == opened_and_closed()


# waiting


def end(store: Store, task_id: str = "t") -> None:
    store.exchange(Request(cancels=[CancelAsked(task_id, "enough")]))


def other(path: Path) -> SqliteStore:
    store = SqliteStore(f"{path}/tasks.db")
    store.open()
    return store


def watched_by(thread: StoreThread, done: Done, task_id: str = "t", after: int = NEVER) -> Callable[[], None]:
    return thread.watch({task_id: after}, done, thread.post)


def ended_by(thread: StoreThread, task_id: str = "t") -> threading.Event:
    told = threading.Event()
    watched_by(thread, lambda *_: told.set(), task_id)
    asked(thread, lambda _: None)
    return told


@pytest.mark.parametrize("task_id", ["t", "unknown"])
def test_who_waits_for_what_has_ended_or_never_was_is_told_at_once(
    thread: StoreThread, lane: int, task_id: str
) -> None:
    asked(thread, submit(submission("t", lane)))
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    for _ in range(2):
        assert ended_by(thread, task_id).wait(SECONDS)


def test_an_end_that_another_process_commits_is_seen_without_any_bell(
    thread: StoreThread, lane: int, tmp_path: Path
) -> None:
    asked(thread, submit(submission("t", lane)))
    told, others = ended_by(thread), other(tmp_path)
    end(others)
    assert told.wait(SECONDS)
    others.close()


def test_an_end_committed_by_a_callers_own_thread_is_told_to_who_waits(thread: StoreThread, lane: int) -> None:
    asked(thread, submit(submission("t", lane)))
    told = ended_by(thread)
    answered: SimpleQueue[Any] = SimpleQueue()
    eventually(lambda: not thread._busy)
    thread.do(Request(cancels=[CancelAsked("t", "enough")]), lambda reply, error: answered.put(error))
    assert answered.get(timeout=SECONDS) is None
    assert told.wait(2)


def test_a_ring_makes_it_look(thread: StoreThread, lane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(thread, submit(submission("t", lane)))
    looked: SimpleQueue[None] = SimpleQueue()
    glance = SqliteStore.glance
    ended_by(thread)
    monkeypatch.setattr(SqliteStore, "glance", lambda store, ids: (looked.put(None), glance(store, ids))[1])
    ringer = Ringer()
    ringer.ring([thread.address])
    ringer.close()
    looked.get(timeout=SECONDS)


@pytest.mark.parametrize("verb", ["version", "glance"])
@pytest.mark.parametrize("error", [StoreBusy("another holds it"), StoreFull("no space")], ids=["busy", "full"])
def test_waiting_outlasts_a_store_that_cannot_be_asked_for_a_while(
    thread: StoreThread, lane: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception
) -> None:
    asked(thread, submit(submission("t", lane), submission("u", lane)))
    told, late, others = SimpleQueue[Any](), SimpleQueue[Any](), other(tmp_path)
    watched_by(thread, lambda glance, error: told.put(error or glance))
    asked(thread, lambda _: None)
    tried: SimpleQueue[None] = SimpleQueue()

    def refuse(*_: object) -> None:
        tried.put(None)
        raise error

    with monkeypatch.context() as refusing:
        refusing.setattr(SqliteStore, verb, refuse)
        watched_by(thread, lambda glance, error: late.put(error or glance))
        end(others, "u")  # it looks for changes, and tells them
        tried.get(timeout=SECONDS)
        tried.get(timeout=SECONDS)
    end(others)
    for answers in (told, late):
        assert answers.get(timeout=SECONDS).state == State.CANCELLED
    others.close()


def test_where_no_ripple_can_be_felt_others_writes_are_looked_for(
    thread: StoreThread, lane: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteStore, "ripples", lambda _: None)
    asked(thread, submit(submission("t", lane)))
    told, others = ended_by(thread), other(tmp_path)
    end(others)
    assert told.wait(SECONDS)
    others.close()


def test_who_waits_is_told_though_there_is_always_something_else_to_do(
    thread: StoreThread, lane: int, tmp_path: Path
) -> None:
    asked(thread, submit(submission("t", lane)))
    told, others = ended_by(thread), other(tmp_path)

    def do_something_else(*_: object) -> None:
        if not told.is_set():
            thread.post(lambda _: None, do_something_else)

    do_something_else()
    end(others)
    assert told.wait(SECONDS)
    others.close()


def test_one_look_serves_all_who_wait(
    thread: StoreThread, lane: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"t{number}" for number in range(50)]
    asked(thread, submit(*(submission(name, lane) for name in names)))
    all_told, others = [ended_by(thread, name) for name in names], other(tmp_path)
    asked(thread, lambda _: None)  # each has looked once, to begin with
    eventually(lambda: thread._told == thread._changes)
    looks = []
    glance = SqliteStore.glance
    monkeypatch.setattr(SqliteStore, "glance", lambda store, ids: (looks.append(len(ids)), glance(store, ids))[1])
    others.exchange(Request(cancels=[CancelAsked(name, "enough") for name in names]))
    assert all(told.wait(SECONDS) for told in all_told)
    assert looks[0] == 50
    assert len(looks) <= 2
    others.close()


def test_who_waits_for_any_of_several_is_told_once_by_the_first(thread: StoreThread, lane: int) -> None:
    names = ["t", "u", "v"]
    asked(thread, submit(*(submission(name, lane) for name in names)))
    told: SimpleQueue[Any] = SimpleQueue()
    thread.watch(dict.fromkeys(names, NEVER), lambda glance, _: told.put(glance.id), thread.post)
    asked(thread, Request(cancels=[CancelAsked(name, "enough") for name in ("v", "u")]))
    assert told.get(timeout=SECONDS) in ("u", "v")
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    asked(thread, lambda _: None)
    assert (told.empty(), len(thread._watched)) == (True, 0)


def test_who_waits_for_an_event_is_told_by_the_first_that_was_not_seen(thread: StoreThread, lane: int) -> None:
    asked(thread, Request(submits=[submission("t", lane, state=State.SCHEDULED)]))
    told: SimpleQueue[Any] = SimpleQueue()
    for after in range(4):
        watched_by(thread, lambda glance, _, after=after: told.put((after, glance.seq)), after=after)
    assert told.get(timeout=SECONDS) == (0, 1)
    asked(thread, Request(retries=["t"]))
    assert told.get(timeout=SECONDS) == (1, 2)
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    assert sorted(told.get(timeout=SECONDS) for _ in range(2)) == [(2, 3), (3, 3)], "its end is news to all"


def test_a_store_busy_with_what_nobody_waits_for_disturbs_nobody_much(
    thread: StoreThread, lane: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(thread, submit(submission("t", lane), submission("u", lane)))
    told, others = ended_by(thread), other(tmp_path)
    looks = []
    version = SqliteStore.version
    monkeypatch.setattr(SqliteStore, "version", lambda store: (looks.append(1), version(store))[1])
    began = time.monotonic()
    for _ in range(200):
        others.exchange(Request(retries=["u"]))  # refused, and felt all the same
    seconds = time.monotonic() - began
    end(others)
    assert told.wait(SECONDS)
    assert len(looks) <= 3 + seconds / RIPPLE_SECONDS
    others.close()


def test_who_has_given_up_is_not_told(thread: StoreThread, lane: int) -> None:
    asked(thread, submit(submission("t", lane)))
    told: list[str] = []
    forget = watched_by(thread, lambda *_: told.append("given up"))
    stays = ended_by(thread)
    forget()
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    assert stays.wait(SECONDS)
    assert not told
    forget()
    asked(thread, lambda _: None)


def test_nobody_who_waits_leaves_anything_behind(thread: StoreThread, lane: int) -> None:
    asked(thread, submit(submission("t", lane)))
    for forget in [watched_by(thread, lambda *_: None) for _ in range(3)]:
        forget()
    asked(thread, lambda _: None)
    assert not thread._watched


def test_waiting_for_what_does_not_happen_costs_next_to_nothing(thread: StoreThread, lane: int) -> None:
    asked(thread, submit(submission("t", lane)))
    told = ended_by(thread)
    before = time.process_time()
    assert not told.wait(0.3)
    assert time.process_time() - before < 0.1


@pytest.fixture(params=["file", "server"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    if request.param == "file":
        return lambda: SqliteStore(f"{tmp_path}/tasks.db")
    database = request.getfixturevalue("database")
    return lambda: PostgresStore(database)


@pytest.fixture
def others(make_store: Callable[[], Store], use: Callable[[Store], Store]) -> Store:
    return use(make_store())


@pytest.fixture
def either(make_store: Callable[[], Store]) -> Iterator[StoreThread]:
    with closing(StoreThread(make_store, DatagramBell, 0.5)) as thread:
        lane = asked(thread, lane_of)
        asked(thread, submit(*(submission(name, lane) for name in "tuvw")))
        yield thread


def test_what_others_write_wakes_nobody_when_nobody_waits_any_more(
    either: StoreThread, others: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ended_by(either)
    end(others)
    assert told.wait(SECONDS)
    turns, many, work = count(), threading.Event(), StoreThread._work
    monkeypatch.setattr(StoreThread, "_work", lambda *own: (many.set() if next(turns) > 50 else None, work(*own)))
    end(others, "u")
    assert not many.wait(0.3), "it goes round without end"


def test_ripples_are_kept_for_who_waits_next_and_made_anew_for_who_does_so_much_later(
    either: StoreThread, others: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    felt = []
    for name in "tuvw":
        if name == "v":
            monkeypatch.setattr(storethread, "KEPT_SECONDS", 0.0)
        told = ended_by(either, name)
        end(others, name)
        assert told.wait(SECONDS)
        felt.append(either._ripples)
        if name >= "v":
            eventually(lambda: either._ripples is None)
    assert felt[0] is felt[1] is not None


@pytest.mark.parametrize("more_comes", [False, True])
def test_who_does_its_own_job_is_told_at_once_and_tells_nobody_else(
    either: StoreThread, monkeypatch: pytest.MonkeyPatch, more_comes: bool
) -> None:
    told, asked_it = [], SimpleQueue[None]()
    store = type(either._store)
    exchange = store.exchange

    def exchange_while_more_comes(own: Store, request: Request) -> Any:
        if more_comes:
            either.post(lambda _: None, lambda *_: asked_it.put(None))
        return exchange(own, request)

    assert eventually(lambda: either._sleeps)
    either._untold.append((lambda *_: told.append(("other", threading.current_thread())), None, None))
    with monkeypatch.context() as patched:
        patched.setattr(store, "exchange", exchange_while_more_comes)
        either.do(Request(cancels=[CancelAsked("t", "")]), lambda *_: told.append(("own", threading.current_thread())))
    if not more_comes:
        either.post(lambda _: None, lambda *_: asked_it.put(None))
    asked_it.get(timeout=SECONDS)
    assert told == [("own", threading.current_thread()), ("other", either._thread)]


class Mended(DatagramBell):
    """Counts how often it was asked to be silent, by which one that has broken mends itself."""

    times = 0

    def silence(self) -> None:
        super().silence()
        self.times += 1


def test_a_bell_that_nobody_rings_is_asked_at_each_poll_while_somebody_waits(tmp_path: Path) -> None:
    bell = Mended()
    thread = StoreThread(lambda: SqliteStore(f"{tmp_path}/tasks.db"), lambda: bell, 0.02)
    asked(thread, submit(submission("t", asked(thread, lane_of))))
    before = bell.times
    ended_by(thread)
    eventually(lambda: bell.times > before + 3)
    thread.close()


FORKING = """
import os, signal, sys
from duly.core.task import State
from tests.engine.making import asked, lane_of, posted, submission
from tests.engine.test_storethread import made, submit
from pathlib import Path

thread = made(Path(sys.argv[1]))
lane = asked(thread, lane_of)
theirs = asked(thread, lambda store: id(store))
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    thread.do(submit(submission("child's", lane)), lambda reply, error: None)
    assert asked(thread, lambda store: id(store)) != theirs, "the parent's store must not be used here"
    thread.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print([row.id for row in asked(thread, lambda store: store.find(["child's"]))])
thread.close()
"""


def test_a_forked_process_opens_a_store_of_its_own(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": ".:src"},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, '["child\'s"]\n')
