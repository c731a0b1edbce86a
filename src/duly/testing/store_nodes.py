"""What a store owes to nodes and readers: who lives and what they hold, page by page."""

from __future__ import annotations

import msgspec

from duly.core import lifecycle
from duly.core.outcome import Success
from duly.core.task import State
from duly.ports import Filter
from duly.testing.store_hands import HOUR, LARGE, POLICY, Check, Hands

# nodes -------------------------------------------------------------------------------------------------------------


def nodes_live_until_they_are_abandoned(hands: Hands) -> None:
    """A node that lives is not dead to others; its number is never another's."""
    first, second = hands.enlist(), hands.enlist()
    assert [node.number for node in hands.store.nodes()] == sorted((first, second)), hands.store.nodes()
    assert hands.store.dead() == [], "a node that lives is told as dead"
    assert sorted(hands.store.living()) == sorted((first, second)), "a node that lives is not told to"
    hands.store.abandon(first)
    assert hands.store.living() == [second], "a node that is abandoned is told to live"
    assert [node.number for node in hands.store.dead()] == [first], "a node that is abandoned is not told as dead"
    hands.store.leave(first)
    hands.store.leave(second)
    assert hands.store.nodes() == [], "a node that left is still enlisted"
    assert hands.enlist() not in (first, second), "a node's number was used again"


def a_node_that_holds_tasks_cannot_leave(hands: Hands) -> None:
    """It stays enlisted, as one that is dead, so that others rescue what it holds."""
    hands.submit()
    held = hands.claim_one()
    hands.store.leave(hands.node)
    assert [node.number for node in hands.store.dead()] == [hands.node], "tasks were left without a node"
    hands.change(lifecycle.hand_back(held, 1))
    hands.store.leave(hands.node)
    assert hands.store.nodes() == []


def what_a_node_holds_is_told(hands: Hands) -> None:
    """Key and claim of each, no more than asked for, and nothing of another node's."""
    for _ in range(3):
        hands.submit()
    mine = hands.claim(2)
    node = hands.node
    hands.enlist()
    hands.claim_one()
    rights = sorted((held.key, held.claim) for held in hands.store.held(node, 10))
    assert rights == sorted((held.key, held.claim) for held in mine), rights
    assert len(hands.store.held(node, 1)) == 1
    assert hands.store.held(node + 1_000, 10) == []


def a_dead_nodes_tasks_are_rescued_in_pieces(hands: Hands) -> None:
    """Anybody speaks for the dead, until nothing is held; two who try at once rescue once."""
    ids = [hands.submit() for _ in range(5)]
    claims = {held.id: held for held in hands.claim()}
    dead = hands.node
    hands.store.abandon(dead)
    hands.enlist()
    while pieces := hands.store.held(dead, 2):
        rescued = [lifecycle.rescue(held, POLICY, 1, 0.5) for held in pieces]
        assert hands.change(*rescued).misses == []
        assert len(hands.change(*rescued).misses) == len(rescued), "a task was rescued twice"
    hands.store.leave(dead)
    assert hands.store.dead() == []
    assert {hands.seen(task_id) for task_id in ids} == {(State.READY, 0)}
    again = {held.id: held for held in hands.claim()}
    assert {(held.claim, held.losses, held.attempt) for held in again.values()} == {(2, 1, 1)}
    assert [held.rank for held in again.values()] == [claims[task_id].rank for task_id in again], "a rank was lost"


def suspects_are_claimed_apart(hands: Hands) -> None:
    """One at a time, when they are asked for first, or last; never among others."""
    suspects = {hands.submit(), hands.submit()}
    for held in hands.claim():
        hands.change(lifecycle.rescue(msgspec.structs.replace(held, losses=1), POLICY, 1, 0.5))
    assert {hands.row(task_id).suspect for task_id in suspects} == {1}, "a task lost twice is no suspect"
    assert hands.claim() == [], "a suspect was claimed that was not asked for"
    others = {hands.submit(), hands.submit()}
    assert {held.id for held in hands.claim_suspect(first=False, most=1)} < others, "suspects come last here"
    first = hands.claim_suspect(first=True)
    assert [bool(held.suspect) for held in first] == [True], first
    assert {held.id for held in hands.claim_suspect(first=False)} < others, "suspects come last here"
    last = hands.claim_suspect(first=False)
    assert {held.id for held in [*first, *last]} == suspects, "not all suspects were claimed"


# reading -----------------------------------------------------------------------------------------------------------


def tasks_are_read_in_pages(hands: Hands) -> None:
    """Newest first or by date, each once, without what may be large."""
    now = hands.now()
    plain = [hands.submit(payload=LARGE) for _ in range(3)]
    dates = (now + 3 * HOUR, now + HOUR, now + HOUR, now + 2 * HOUR)
    dated = [hands.submit(state=State.SCHEDULED, run_at=at) for at in dates]
    assert _pages(hands, "newest") == [*dated[::-1], *plain[::-1]], "pages of the newest"
    assert _pages(hands, "date") == [dated[1], dated[2], dated[3], dated[0]], "pages by date"
    hands.finish(hands.claim(1)[0], Success(LARGE))
    rows = hands.store.tasks(Filter(), "newest", None, 10)
    assert {(row.payload, row.value) for row in rows} == {("", None)}, "what may be large is in a list"
    assert hands.row(plain[0]).value == LARGE, "a large result is read back changed"


def tasks_are_read_by_what_they_are(hands: Hands) -> None:
    """Each filter holds, alone and with others."""
    now = hands.now()
    other = hands.store.lanes([("slow", "other:check", 2)])[-1].number
    ready, dated, far = hands.submit(), hands.submit(state=State.SCHEDULED, run_at=now + HOUR), hands.submit(lane=other)
    since = hands.row(dated).submitted
    for wanted, expected in (
        (Filter(), {ready, dated, far}),
        (Filter(states=(State.READY,)), {ready, far}),
        (Filter(states=(State.RUNNING, State.SCHEDULED)), {dated}),
        (Filter(action="other:check"), {far}),
        (Filter(queue="default"), {ready, dated}),
        (Filter(since=since), {dated, far}),
        (Filter(due_before=now + 2 * HOUR), {dated}),
        (Filter(due_before=now), set()),
        (Filter(states=(State.READY,), queue="slow", action="test:check"), set()),
    ):
        found = {row.id for row in hands.store.tasks(wanted, "newest", None, 10)}
        assert found == expected, f"{wanted} finds {found}"


def tasks_are_counted_by_what_they_are(hands: Hands) -> None:
    """Each task once: by lane, state and holder, with the earliest moment since when."""
    other = hands.store.lanes([("slow", "other:check", 2)])[-1].number
    now = hands.now()
    assert hands.store.stats() == [], "an empty store counts tasks"
    first, _, _, _ = (hands.submit() for _ in range(4))
    for hours in (2, 1):
        hands.submit(state=State.SCHEDULED, run_at=now + hours * HOUR)
    hands.submit(lane=other)
    done, _, asked = hands.claim(3)
    hands.finish(done, Success(None))
    hands.cancel(asked.id)
    tallies = hands.store.stats()
    here, there = ("default", "test:check", 1), ("slow", "other:check", 2)
    assert {tally[:7] for tally in tallies if tally.state != State.READY} == {
        (*here, State.SCHEDULED, False, None, 2),
        (*here, State.RUNNING, False, hands.node, 1),
        (*here, State.RUNNING, True, hands.node, 1),
        (*here, State.SUCCEEDED, False, None, 1),
    }, tallies
    ready = {tally[:3]: tally for tally in tallies if tally.state == State.READY}
    assert {lane: tally.tasks for lane, tally in ready.items()} == {here: 1, there: 1}, tallies
    since = {tally.state: tally.since for tally in tallies if tally[:3] == here and not tally.asked}
    assert since[State.SCHEDULED] == now + HOUR, "not the earliest date"
    assert since[State.SUCCEEDED] is None, "what has ended waits for nothing"
    assert (ready[here].since or 0) > hands.row(first).submitted, "the moment of a task that is not ready"


def unknown_tasks_are_left_out(hands: Hands) -> None:
    """Reading what is not there is no error."""
    known = hands.submit()
    assert [row.id for row in hands.store.find(["unknown", known])] == [known]
    assert hands.store.find([]) == []
    assert hands.store.last_update("unknown") is None


def a_sound_store_is_found_sound(hands: Hands) -> None:
    """It says so itself."""
    hands.submit(payload=LARGE)
    findings = hands.store.examine()
    assert findings, "a store has nothing to say of itself"
    assert all(finding.ok for finding in findings), findings


CHECKS: tuple[Check, ...] = (
    nodes_live_until_they_are_abandoned,
    a_node_that_holds_tasks_cannot_leave,
    what_a_node_holds_is_told,
    a_dead_nodes_tasks_are_rescued_in_pieces,
    suspects_are_claimed_apart,
    tasks_are_read_in_pages,
    tasks_are_read_by_what_they_are,
    tasks_are_counted_by_what_they_are,
    unknown_tasks_are_left_out,
    a_sound_store_is_found_sound,
)


def _pages(hands: Hands, by: str) -> list[str]:
    found: list[str] = []
    after = None
    while rows := hands.store.tasks(Filter(), by, after, 2):
        found += [row.id for row in rows]
        after = (rows[-1].run_at or 0, rows[-1].key) if by == "date" else (rows[-1].submitted, rows[-1].key)
    return found
