"""Who lives, and whose turn it is, between real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from subprocess import Popen

import pytest

from duly.errors import StoreUnavailable
from duly.store.sqlite import lockfile
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
from tests.helpers import eventually, interrupted_at

Start = Callable[..., "Popen[str]"]


def line(child: Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def test_a_killed_process_is_dead_at_once_and_a_living_one_is_not(store: SqliteStore, start: Start) -> None:
    child = start("say(opened().enlist('child', '', 'x')); heard()")
    number = int(line(child))
    mine = store.enlist("mine", "", "y")
    assert store.dead() == []
    child.kill()
    child.wait(30)
    assert [node.number for node in eventually(store.dead)] == [number]
    assert mine != number


def test_another_store_of_the_same_process_ends_nobodys_life(
    open_store: Callable[..., SqliteStore], path: str, start: Start
) -> None:
    number = open_store().enlist("mine", "", "")
    other = SqliteStore(path)
    other.open()
    other.close()  # closing any descriptor of the side file would drop the byte
    child = start("say([node.number for node in opened().dead()])")
    assert line(child) == "[]"
    assert [node.number for node in open_store().dead()] == []
    assert number == 1


def test_a_number_that_somebody_still_lives_under_is_passed_over(store: SqliteStore, path: str, start: Start) -> None:
    child = start("say(opened().enlist('child', '', '')); heard()")
    assert line(child) == "1"
    store.close()
    for suffix in ("", "-wal", "-shm"):
        os.remove(path + suffix)  # the store was deleted under its worker, and a new one is made
    store.open()
    assert store.enlist("mine", "", "") == 2


def test_a_number_that_this_process_still_lives_under_is_passed_over(
    open_store: Callable[..., SqliteStore], path: str
) -> None:
    assert open_store().enlist("one", "", "") == 1
    for suffix in ("", "-wal", "-shm"):
        os.remove(path + suffix)
    assert open_store().enlist("other", "", "") == 2


def test_the_gate_is_passed_by_one_at_a_time_and_is_free_after_a_kill(
    path: str, store: SqliteStore, start: Start
) -> None:
    child = start("store = opened(); say(store._lockfile.enter(1)); heard()")
    assert line(child) == "True"
    gate = lockfile.hold(path)
    assert not gate.enter(0.05)
    child.kill()
    assert gate.enter(30)
    gate.leave()
    lockfile.release(gate)
    Hands(store).submit()


def test_a_gate_that_comes_too_late_is_given_back(path: str, store: SqliteStore, start: Start) -> None:
    child = start(
        "gate = opened()._lockfile; say(gate.enter(1)); heard(); gate.leave(); say('left'); heard()\n"
        "say(gate.enter(30)); heard()"
    )
    assert line(child) == "True"
    assert store._lockfile is not None
    assert not store._lockfile.enter(0.01)  # from here on a helper waits for it
    tell(child)
    assert line(child) == "left"
    tell(child)
    assert line(child) == "True"


def test_threads_of_one_process_pass_the_gate_one_at_a_time(path: str, store: SqliteStore) -> None:
    gate = lockfile.hold(path)
    inside: list[int] = []
    seen: list[int] = []

    def pass_through() -> None:
        for _ in range(200):
            with gate.turn:
                assert gate.enter(30)
                inside.append(1)
                seen.append(len(inside))
                inside.pop()
                gate.leave()

    threads = [threading.Thread(target=pass_through) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lockfile.release(gate)
    assert seen == [1] * 800


@pytest.mark.parametrize("writes", ["a submit", "an exchange"])
def test_an_interrupt_anywhere_leaves_the_gate_and_the_store_usable(path: str, store: SqliteStore, writes: str) -> None:
    hands = Hands(store)
    hands.submit()

    def write() -> object:
        return hands.submit() if writes == "a submit" else store.lanes([("default", "other:one", 1)])

    probe = os.open(path + "-duly", os.O_RDWR)
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, lockfile.GATE, 1, 0)
    place = 1
    while interrupted_at(place, write):
        answer = struct.unpack("hhqqi4x", fcntl.fcntl(probe, fcntl.F_OFD_GETLK, asked))
        assert store._lockfile is not None
        shut = store._lockfile.turn.locked() or answer[0] != fcntl.F_UNLCK  # type: ignore[union-attr]
        hands.submit()
        assert not shut, f"after an interrupt at instruction {place}"
        place += 1
    assert place > 20
    os.close(probe)


def test_a_writer_goes_on_without_its_turn_if_somebody_sits_in_the_gate(
    store: SqliteStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.store.sqlite.file.GATE_SECONDS", 0.05)
    hands = Hands(store)
    child = start("store = opened(); say(store._lockfile.enter(1)); heard()")
    assert line(child) == "True"
    hands.submit()
    assert len(hands.claim()) == 1


def test_a_byte_that_cannot_be_locked_at_all_is_not_taken_for_one_that_is_held(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would look for a free one for ever."""
    lock = fcntl.lockf

    def out_of_locks(descriptor: int, how: int, size: int, start: int) -> None:
        if start != lockfile.GATE:
            if start > lockfile.NODES + 100:
                raise AssertionError("goes on and on")
            raise OSError(errno.ENOLCK, "No locks available")
        lock(descriptor, how, size, start)

    monkeypatch.setattr(fcntl, "lockf", out_of_locks)
    for verb in (lambda: store.enlist("mine", "", ""), store.tidy):
        with pytest.raises(StoreUnavailable, match="-duly: cannot be locked: No locks available"):
            verb()


def test_a_forked_process_has_a_hold_of_its_own(path: str, start: Start) -> None:
    child = start("""
store = opened()
number = store.enlist('parent', '', '')
pid = os.fork()
if pid == 0:
    mine = opened()
    say(mine.enlist('child', '', ''), [node.number for node in mine.dead()], mine._lockfile is not store._lockfile)
    os._exit(0)
os.waitpid(pid, 0)
say([node.number for node in store.dead()])
""")
    assert line(child) == "2 [] True"
    assert line(child) == "[2]"


def test_the_gate_is_open_again_at_the_commit_not_only_when_the_statement_returns(
    path: str, store: SqliteStore
) -> None:
    hands = Hands(store)
    hands.submit()
    probe = os.open(path + "-duly", os.O_RDWR)
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, lockfile.GATE, 1, 0)
    shut: list[bool] = []

    def look() -> bool:
        shut.append(struct.unpack("hhqqi4x", fcntl.fcntl(probe, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)
        return False

    assert store._connection is not None
    assert store._checkpointer is not None
    store._connection.set_commit_hook(look)
    committed = store._checkpointer._committed
    store._checkpointer._committed = lambda: (committed(), look())[0]  # type: ignore[func-returns-value]
    hands.submit()
    assert shut == [True, False]
    os.close(probe)


def held_gate(path: str) -> lockfile.LockFile:
    gate = lockfile.hold(path)
    assert isinstance(gate, lockfile.LockFile)
    return gate


def open_files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return found


def waited_in_vain(gate: lockfile.LockFile) -> None:
    """Have a helper wait for the gate for nobody."""
    with gate.turn:
        assert not gate.enter(0.01)
        gate.leave()


def test_a_store_that_is_closed_while_a_helper_waits_for_the_gate_ends_no_later_life(
    path: str, start: Start, open_store: Callable[..., SqliteStore]
) -> None:
    gate = held_gate(path)
    child = start("gate = opened()._lockfile; say(gate.enter(1)); heard(); gate.leave(); say('left'); heard()")
    other = start("store = opened()\nwhile heard():\n    say([node.number for node in store.dead()])")
    assert line(child) == "True"
    waited_in_vain(gate)
    lockfile.release(gate)
    store = open_store()
    store.enlist("mine", "", "")
    tell(child)
    assert line(child) == "left"
    eventually(gate.is_idle)
    tell(other)
    assert line(other) == "[]"


def test_a_side_file_that_was_let_go_of_while_a_helper_waits_is_closed_after_all(path: str, start: Start) -> None:
    gate = held_gate(path)
    gate.live(7)
    child = start("gate = opened()._lockfile; say(gate.enter(1)); heard(); gate.leave(); heard()")
    other = start("store = opened(); heard(); say(store._lockfile.lives(7))")
    assert line(child) == "True"
    waited_in_vain(gate)
    lockfile.release(gate)
    tell(other)
    assert line(other) == "False"
    open_there = os.path.realpath(path) + "-duly"
    assert open_there in open_files()
    tell(child)
    eventually(lambda: open_there not in open_files())


def test_a_late_gate_is_given_back_before_this_process_enters_it_again(
    path: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_gate(path)
    child = start("gate = opened()._lockfile; say(gate.enter(1)); heard(); gate.leave(); say('left'); heard()")
    other = start("store = opened(); heard(); say(store._lockfile.enter(0.05))")
    assert line(child) == "True"
    came, go_on = threading.Event(), threading.Event()
    give = lockfile._Waiter.give
    monkeypatch.setattr(lockfile._Waiter, "give", lambda waiter: (came.set(), go_on.wait(30), give(waiter))[2])
    waited_in_vain(gate)
    tell(child)
    assert came.wait(30)  # the helper has the gate, and does not know yet that nobody wants it
    with gate.turn:
        timer = threading.Timer(0.05, go_on.set)
        timer.start()
        assert gate.enter(30)
        timer.join(30)
        tell(other)
        assert line(other) == "False"
        gate.leave()
    lockfile.release(gate)


def test_an_interrupt_anywhere_in_a_wait_for_the_gate_leaves_it_to_others(
    store: SqliteStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.store.sqlite.file.GATE_SECONDS", 0.001)
    hands = Hands(store)
    child = start("""
gate = opened()._lockfile
say(gate.enter(10))
while heard():
    gate.leave(); say('left'); heard(); say(gate.enter(10))
""")
    assert line(child) == "True"
    place = 1
    while interrupted_at(place, hands.submit):
        tell(child)
        assert line(child) == "left"
        tell(child)
        assert line(child) == "True", f"after an interrupt at instruction {place}"
        place += 1
    assert place > 60
