"""What is too large for a row lies in pieces of its own, none of which is left behind for good."""

from __future__ import annotations

from collections.abc import Callable

import apsw
import pytest

from duly.core import lifecycle
from duly.core.outcome import Success
from duly.errors import StoreError
from duly.ports import Request
from duly.store import apart
from duly.store.apart import CHUNK, KEPT_SECONDS, Reference, fits, named, pieces
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import HOUR, LARGE, Hands, ended

LATER = KEPT_SECONDS * 1_000_000 + 1


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * HOUR

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hands(open_store: Callable[..., SqliteStore], clock: Clock) -> Hands:
    return Hands(open_store(clock=clock))


def connection_of(hands: Hands) -> apsw.Connection:
    assert isinstance(hands.store, SqliteStore)
    assert hands.store._connection is not None
    return hands.store._connection


def counted(hands: Hands) -> tuple[int, int]:
    """How many chunks there are, and how many of them no row names."""
    ((chunks, loose),) = connection_of(hands).execute(
        "select (select count(*) from chunk), (select count(*) from loose)"
    )
    assert isinstance(chunks, int)
    assert isinstance(loose, int)
    return chunks, loose


def test_a_text_is_told_from_what_stands_for_one() -> None:
    reference = Reference(1_000_002, [17, 18])
    assert named(str(reference)) == reference
    assert [named(text) for text in ("null", "[1]", '"#"', "{}")] == [None] * 4
    assert named("") == Reference(apart.OLD_SIZE, [])
    assert [fits(text) for text in ("{}", "x" * 65_536, "x" * 65_537, "", "#", "#[1,2]")] == [True, True, *[False] * 4]


def test_pieces_are_no_larger_than_a_mebibyte_and_make_up_the_whole() -> None:
    for text, count in (("", 1), ("x", 1), ("x" * CHUNK, 1), ("x" * (CHUNK + 1), 2), ("😀" * CHUNK, 4)):
        parts = list(pieces(text))
        assert "".join(parts) == text
        assert len(parts) == count
        assert all(len(part.encode()) <= CHUNK for part in parts)


def test_what_rows_name_is_kept_for_good(hands: Hands, clock: Clock) -> None:
    task_id = hands.submit(payload=LARGE)
    hands.finish(hands.claim_one(), Success(LARGE))
    assert counted(hands) == (4, 0)
    clock.now += LATER
    hands.submit(payload=LARGE)
    assert counted(hands) == (6, 0)
    assert (hands.row(task_id).payload, hands.row(task_id).value) == (LARGE, LARGE)


def test_what_no_row_names_is_swept_after_an_hour(hands: Hands, clock: Clock) -> None:
    task_id = hands.submit(payload=LARGE)
    hands.submit("other")
    first, second = hands.claim(2)
    hands.change(lifecycle.hand_back(second, 1))
    assert (
        hands.store.exchange(Request(submits=[hands.submission(task_id, payload=LARGE)])).submitted[task_id]
        == "existing"
    )
    assert len(hands.finish(second, Success(LARGE)).misses) == 1
    assert counted(hands) == (6, 4)
    clock.now += LATER - 2
    hands.submit(payload=LARGE)
    assert counted(hands) == (8, 4), "swept too early"
    clock.now += 2
    hands.finish(first, Success(LARGE))
    assert counted(hands) == (6, 0)
    assert hands.row(task_id).payload == LARGE


def test_a_node_sweeps_when_it_begins(hands: Hands, clock: Clock) -> None:
    hands.submit("same", payload=LARGE)
    hands.store.exchange(Request(submits=[hands.submission("same", payload=LARGE)]))
    assert counted(hands) == (4, 2)
    clock.now += LATER
    hands.enlist()
    assert counted(hands) == (2, 0)


def test_who_slept_for_an_hour_before_the_row_is_told_so(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    store = hands.store
    assert isinstance(store, SqliteStore)
    keep = store._keep_apart

    def keep_and_sleep(whole: str) -> str:
        reference = keep(whole)
        connection_of(hands).execute("delete from chunk; delete from loose")
        return reference

    monkeypatch.setattr(store, "_keep_apart", keep_and_sleep)
    with pytest.raises(StoreError, match="try again"):
        hands.submit("large", payload=LARGE)
    assert store.find(["large"]) == []
    monkeypatch.undo()
    hands.submit("large", payload=LARGE)


def test_each_piece_is_written_in_a_transaction_of_its_own(hands: Hands) -> None:
    sizes: list[int] = []
    connection = connection_of(hands)

    def on_commit() -> bool:
        sizes.append(connection.total_changes())
        return False

    connection.set_commit_hook(on_commit)
    hands.submit(payload='"' + "x" * (3 * CHUNK) + '"')
    connection.set_commit_hook(None)
    assert len(sizes) == 5, "four pieces and the row are not five transactions"


def test_what_was_stored_whole_before_there_were_chunks_is_read(hands: Hands) -> None:
    task_id = hands.submit()
    key = hands.row(task_id).key
    connection = connection_of(hands)
    connection.execute("update task set payload = '' where key = ?", (key,))
    connection.execute("insert into blob (task, payload) values (?, ?)", (key, LARGE))
    assert hands.row(task_id).payload == LARGE
    assert hands.claim_one().payload == LARGE


def test_a_damaged_payload_goes_to_its_holder_as_no_json_at_all(hands: Hands) -> None:
    task_id = hands.submit(payload=LARGE)
    connection_of(hands).execute("delete from chunk where number = (select max(number) from chunk)")
    assert hands.claim_one().payload == ""
    assert hands.row(task_id).payload == ""


def test_a_change_beside_a_large_result_is_carried_out_with_it(hands: Hands) -> None:
    ids = [hands.submit() for _ in range(3)]
    claims = hands.claim(3)
    hands.change(*(ended(held, Success(LARGE if place == 1 else "1")) for place, held in enumerate(claims)))
    assert [hands.row(task_id).value for task_id in ids] == ["1", LARGE, "1"]
    assert counted(hands) == (2, 0)


def test_of_one_task_in_one_request_twice_the_second_leaves_nothing_for_good(hands: Hands) -> None:
    twice = [hands.submission("same", payload=payload) for payload in (LARGE, LARGE.upper())]
    assert hands.store.exchange(Request(submits=twice)).submitted == {"same": "created"}
    assert hands.row("same").payload == LARGE
    assert counted(hands) == (4, 2)
