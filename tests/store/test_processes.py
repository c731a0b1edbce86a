"""Many processes on one file: nothing is lost, doubled or half done, whoever dies in between."""

from __future__ import annotations

import signal
from collections.abc import Callable
from subprocess import Popen

from duly.core.task import State
from duly.ports import Filter
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands, ended
from tests.helpers import eventually

Start = Callable[..., "Popen[str]"]

SUBMIT = """
hands = Hands(opened())
for place in range(100):
    hands.submit(f"{sys.argv[2]}-{place}")
say("done")
"""
WORK = """
from duly.testing.store_hands import ended
hands = Hands(opened())
while True:
    held = hands.claim(7)
    if held:
        assert hands.change(*(ended(one) for one in held)).misses == []
"""


def line(child: Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_many_can_make_one_store_at_the_same_moment(start: Start) -> None:
    for round_ in range(2):
        code = """
say("ready")
heard()
say(opened(path + sys.argv[2]).enlist(str(os.getpid()), "", ""))
"""
        children = [start(code, str(round_)) for _ in range(5)]
        for child in children:
            assert line(child) == "ready"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        assert sorted(int(line(child) or 0) for child in children) == [1, 2, 3, 4, 5]


def test_many_submitters_and_two_nodes_share_a_file(store: SqliteStore, start: Start) -> None:
    submitters = [start(SUBMIT, name) for name in "abcd"]
    nodes = [start(WORK) for _ in range(2)]
    for submitter in submitters:
        assert line(submitter) == "done"
    names = {f"{name}-{place}" for name in "abcd" for place in range(100)}
    eventually(lambda: sum(glance.state == State.SUCCEEDED for glance in store.glance(sorted(names))) == 400)
    for node in nodes:
        node.kill()
        node.wait(30)
    rows = store.tasks(Filter(), "newest", None, 1_000)
    assert {row.id for row in rows} == names
    assert {(row.state, row.attempt, row.seq) for row in rows} == {(State.SUCCEEDED, 1, 2)}


def test_a_writer_killed_inside_a_transaction_has_done_nothing(store: SqliteStore, start: Start) -> None:
    hands = Hands(store)
    kept = hands.submit()
    child = start(
        """
hands = Hands(opened())
store = hands.store
real = store._counted
def counted(*arguments, **more):
    real(*arguments, **more)
    say("inside")
    heard()
store._counted = counted
held = hands.enlist()
store.exchange(Request(node=held, number=1, submits=[hands.submission("half")], cancels=[CancelAsked(sys.argv[2], "")],
    wants=[Want([hands.lane], 5)]))
""",
        kept,
    )
    assert line(child) == "inside"
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    assert hands.seen(kept) == (State.READY, 0)
    assert store.find(["half"]) == []
    assert hands.told(kept) == []
    held = hands.claim_one()
    assert (held.id, held.claim) == (kept, 1)
    assert all(finding.ok for finding in store.examine())


def test_what_a_killed_process_has_submitted_is_there(store: SqliteStore, start: Start) -> None:
    hands = Hands(store)
    child = start("""
hands = Hands(opened())
while True:
    say(hands.submit())
""")
    accepted = [line(child) for _ in range(50)]
    child.kill()
    rest = child.communicate(timeout=30)[0].split("\n")[:-1]
    accepted += rest
    found = {row.id for row in store.find(accepted)}
    assert found == set(accepted)
    claimed = [held.id for held in hands.claim(len(accepted) + 10)]
    assert claimed[: len(accepted)] == accepted, "not in the order of acceptance"


def test_a_dead_process_is_rescued_by_another_and_its_late_answer_misses(store: SqliteStore, start: Start) -> None:
    hands = Hands(store)
    task_id = hands.submit()
    child = start("hands = Hands(opened()); say(hands.claim_one().id); heard()")
    assert line(child) == task_id
    assert store.dead() == []
    child.kill()
    (dead,) = eventually(store.dead)
    (left,) = store.held(dead.number, 10)
    hands.change(ended(left))
    assert hands.seen(task_id) == (State.SUCCEEDED, 1)
    store.leave(dead.number)
    assert store.dead() == []
