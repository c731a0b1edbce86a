"""Many use one schema at once: each verb beside itself, and two processes that share all the work there is."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event
from typing import TypeVar

import psycopg
import pytest

from duly.core import lifecycle
from duly.core.keeping import NEVER, Keep
from duly.core.outcome import Failure
from duly.core.task import Held, State
from duly.engine.storethread import StoreThread
from duly.ports import CancelAsked, Request, Submission
from duly.store.postgres.store import PostgresStore
from duly.store.sqlite.bell import DatagramBell
from duly.testing.store_hands import HOUR, LARGE, POLICY, Hands, ended
from tests.helpers import eventually

T = TypeVar("T")

MANY = 200
TASKS = 3_000
FAILED = Failure("no", retry=False)
REPO = Path(__file__).parents[2]

WORKER = """
import json, sys
from duly.ports import Want
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import Hands, ended
store = PostgresStore(*sys.argv[1:])
store.open()
hands = Hands(store)
done, claims = [], []
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10_000):
    reply = hands.exchange(changes=[ended(held) for held in claims], wants=[Want([hands.lane], 40, 2)])
    assert reply.done and not reply.misses, reply
    done += [held.id for held in claims]
    claims = reply.claims
    if not claims and not any(tally.state < 4 for tally in store.stats()):
        break
store.leave(hands.node)
store.close()
print(json.dumps(done), flush=True)
"""


@pytest.fixture
def opened(database: str, use: Callable[[PostgresStore], PostgresStore]) -> Callable[[], PostgresStore]:
    """Opens the store of the test once more."""
    return lambda: use(PostgresStore(database))


@pytest.fixture
def two(opened: Callable[[], PostgresStore]) -> tuple[PostgresStore, PostgresStore]:
    return opened(), opened()


def together(stores: tuple[PostgresStore, PostgresStore], what: Callable[[PostgresStore], T]) -> list[T]:
    """Do the same with both stores at the same time."""
    start = Barrier(2)

    def one(store: PostgresStore) -> T:
        start.wait(30)
        return what(store)

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, stores))


def shuffled(things: list[T]) -> list[T]:
    return random.sample(things, len(things))


def test_two_processes_make_one_schema(opened: Callable[[], PostgresStore]) -> None:
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: opened(), range(4)))
    assert {store.lanes([("default", "a:b", 1)])[0].number for store in stores} == {1}


def test_the_same_tasks_submitted_at_once_are_stored_once(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    submissions = [hands.submission() for _ in range(MANY)]
    replies = together(two, lambda store: store.exchange(Request(submits=shuffled(submissions))).submitted)
    created = Counter(task_id for reply in replies for task_id, answer in reply.items() if answer == "created")
    assert created == Counter(submission.id for submission in submissions)
    assert len(hands.claim(2 * MANY)) == MANY


def test_what_ends_while_it_is_submitted_again_is_not_run_again(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands, other = Hands(two[0]), Hands(two[1])
    for _ in range(10):
        ids = [hands.submit() for _ in range(20)]
        claims = hands.claim(20)

        def end_or_submit(store: PostgresStore, ids: list[str] = ids, claims: list[Held] = claims) -> dict[str, str]:
            if store is hands.store:
                return {str(hands.change(*map(ended, claims)).misses): ""}
            return store.exchange(Request(submits=[other.submission(task_id) for task_id in ids])).submitted

        misses, answers = together(two, end_or_submit)
        assert misses == {"[]": ""}
        assert answers == dict.fromkeys(ids, "existing")
    assert hands.claim() == [], "a task that had ended is there again"


@pytest.mark.parametrize("many", [1, 2])
def test_an_end_that_a_submit_has_waited_for_is_seen(
    many: int, two: tuple[PostgresStore, PostgresStore], database: str
) -> None:
    hands = Hands(two[0])
    task_id = hands.submit()
    with psycopg.connect(database) as connection, ThreadPoolExecutor(1) as thread:
        moved = "with gone as (delete from duly.task returning *) insert into duly.ended select * from gone"
        connection.execute(moved)
        submissions = [hands.submission(task_id), hands.submission()][:many]
        reply = thread.submit(two[1].exchange, Request(submits=submissions))
        waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'"
        eventually(lambda: connection.execute(waiting).fetchall() != [])
        connection.commit()
        answers = reply.result(30).submitted
    assert answers[task_id] == "existing"
    assert {held.id for held in hands.claim()} == set(answers) - {task_id}, "a task that had ended is there again"
    assert Hands(two[1]).submit(), "the connection is left in a transaction that has failed"


def test_the_same_tasks_cancelled_at_once_are_cancelled_once(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    ids = [hands.submit() for _ in range(MANY)]
    running = {held.id for held in hands.claim(MANY // 2)}

    def cancel(store: PostgresStore) -> dict[str, str]:
        return store.exchange(Request(cancels=[CancelAsked(task_id, "why") for task_id in shuffled(ids)])).cancelled

    answers = together(two, cancel)
    for task_id in ids:
        said = sorted(answer[task_id] for answer in answers)
        assert said == (["asked", "asked"] if task_id in running else ["cancelled", "ended"]), said
        assert hands.told(task_id) == (["verdict"] if task_id in running else ["cancel"])


def test_the_same_tasks_retried_at_once_are_retried_once(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    now = hands.now()
    ids = [hands.submit() for _ in range(MANY // 2)]
    hands.change(*(lifecycle.finish(held, POLICY, FAILED, 7, 0.5) for held in hands.claim(MANY)))
    ids += [hands.submit(state=State.SCHEDULED, run_at=now + HOUR) for _ in range(MANY // 2)]
    replies = together(two, lambda store: store.exchange(Request(retries=shuffled(ids))).retried)
    for task_id in ids:
        assert sorted(reply[task_id] for reply in replies) == [(False, "ready"), (True, "ready")]
        assert hands.told(task_id)[-1:] == ["release"]
    assert {held.id for held in hands.claim(2 * MANY)} == set(ids)


def test_a_retry_and_a_cancel_of_what_failed_are_both_answered(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    ids = [hands.submit() for _ in range(MANY)]
    hands.change(*(lifecycle.finish(held, POLICY, FAILED, 7, 0.5) for held in hands.claim(MANY)))

    def either(store: PostgresStore) -> dict[str, str]:
        if store is two[0]:
            return {task_id: one.state for task_id, one in store.exchange(Request(retries=ids)).retried.items()}
        return store.exchange(Request(cancels=[CancelAsked(task_id, "") for task_id in shuffled(ids)])).cancelled

    retried, cancelled = together(two, either)
    assert retried.keys() == cancelled.keys() == set(ids), "one of two who came at once was not answered"
    for task_id in ids:
        assert hands.told(task_id) == ["fail", "release", *(["cancel"] if cancelled[task_id] == "cancelled" else [])]


def test_what_falls_due_is_made_ready_by_either(two: tuple[PostgresStore, PostgresStore]) -> None:
    first, second = Hands(two[0]), Hands(two[1])
    now = first.now()
    ids = [first.submit(state=State.SCHEDULED, run_at=now - 1) for _ in range(MANY)]
    for hands in (first, second):
        hands.enlist()
    claims = together(two, lambda store: (first if store is two[0] else second).claim(MANY))
    rest = [*first.claim(MANY), *second.claim(MANY)]
    assert sorted(held.id for held in [*claims[0], *claims[1], *rest]) == sorted(ids)


def test_a_dead_nodes_tasks_are_rescued_once(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    ids = [hands.submit() for _ in range(MANY)]
    claims = hands.claim(MANY)
    two[0].abandon(hands.node)

    def rescue(store: PostgresStore) -> int:
        changes = [lifecycle.rescue(held, POLICY, 1, 0.5) for held in shuffled(claims)]
        return len(changes) - len(store.exchange(Request(changes=changes)).misses)

    assert sum(together(two, rescue)) == MANY
    assert {tuple(hands.told(task_id)) for task_id in ids} == {("rescue",)}


def test_lanes_pauses_and_keeps_said_at_once_are_one(two: tuple[PostgresStore, PostgresStore]) -> None:
    wanted = [("default", f"a:b{number}", 1) for number in range(30)]
    assert {len(found) for found in together(two, lambda store: store.lanes(shuffled(wanted)))} == {30}
    assert sorted(together(two, lambda store: store.pause("queue", "mail"))) == [False, True]
    assert sorted(together(two, lambda store: store.resume("queue", "mail"))) == [False, True]
    together(two, lambda store: store.keeping([(action, 1, Keep(1, 2)) for _, action, _ in shuffled(wanted)]))
    assert set(two[0].keeping().values()) == {Keep(1, 2)}
    assert sorted(together(two, lambda store: store.tidy())) == [False, True]


def test_what_is_pruned_at_once_goes_once(two: tuple[PostgresStore, PostgresStore]) -> None:
    hands = Hands(two[0])
    for _ in range(MANY):
        hands.submit()
    hands.change(*map(ended, hands.claim(MANY)))
    found = [(aged.key, aged.ended_at or 0) for aged in two[0].survey(0, NEVER, MANY)]
    keys = [key for key, _ in found]
    together(two, lambda store: store.empty(shuffled(found)))
    together(two, lambda store: [store.drop_history(shuffled(keys)) for _ in range(2)])
    assert sum(together(two, lambda store: store.remove(shuffled(keys)))) == MANY - 1
    assert len(two[0].survey(0, NEVER, MANY)) == 1


def test_two_processes_share_all_the_work_and_nothing_twice(opened: Callable[[], PostgresStore]) -> None:
    store = opened()
    hands = Hands(store)
    ids = []
    for _ in range(TASKS // 500):
        batch = [hands.submission() for _ in range(500)]
        ids += [submission.id for submission in batch]
        store.exchange(Request(submits=batch))
    command = [sys.executable, "-c", WORKER, store.address.conninfo, store.address.schema]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO) for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        done = [json.loads(worker.communicate("go\n", timeout=60)[0]) for worker in _all_told(workers)]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate(timeout=30)
    assert sorted(done[0] + done[1]) == sorted(ids), "a task was done twice, or not at all"
    assert min(map(len, done)) > TASKS // 10, "one did it all"
    assert [(tally.state, tally.tasks) for tally in store.stats()] == [(State.SUCCEEDED, TASKS)]
    assert all(hands.told(task_id) == ["success"] for task_id in random.sample(ids, 50))


def _all_told(workers: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """Have all begin before any is waited for."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return workers


def test_what_is_tried_again_while_it_is_emptied_keeps_what_is_large(
    opened: Callable[[], PostgresStore], database: str
) -> None:
    store = opened()
    hands = Hands(store)
    task = hands.submit(payload=LARGE)
    hands.finish(hands.claim_one(), FAILED)
    row = hands.row(task)
    with psycopg.connect(database) as retrying, ThreadPoolExecutor(1) as pool:
        retrying.execute("with gone as (delete from duly.ended returning *) insert into duly.task select * from gone")
        emptied = pool.submit(store.empty, [(row.key, row.ended_at or 0)])
        eventually(lambda: waits_for_a_lock(database))
        retrying.commit()
        assert emptied.result(30) == []
    assert hands.row(task).payload == LARGE
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from duly.loose").fetchall() == [(0,)]


def waits_for_a_lock(database: str) -> bool:
    with psycopg.connect(database) as connection:
        query = "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
        ((waits,),) = connection.execute(query).fetchall()
    return bool(waits)


def test_who_is_done_is_told_while_the_next_one_waits_for_the_server(database: str) -> None:
    thread = StoreThread(lambda: PostgresStore(database), DatagramBell, 1.0)
    told = {task_id: Event() for task_id in "ab"}
    insert = "insert into duly.task (id, lane, state, band, rank, submitted, payload) values (%s, 0, 9, 1, 1, 1, '')"
    held_up = "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'"
    with closing(thread), psycopg.connect(database, autocommit=True) as looking:
        thread.open()
        with psycopg.connect(database) as first, psycopg.connect(database) as second:
            for connection, task_id in ((first, "a"), (second, "b")):
                connection.execute(insert, [task_id])
                submission = Submission(task_id, 1, State.READY, 1, 1, 0, 0, None, None, "{}", "", "")
                done = told[task_id].set
                thread.post(Request(submits=[submission]), lambda *_, done=done: done())
                eventually(lambda: looking.execute(held_up).fetchall() != [])  # then the second comes
            first.rollback()
            assert told["a"].wait(5), "it is told no sooner than the next one"
            assert not told["b"].is_set()
            second.rollback()
            assert told["b"].wait(30)
