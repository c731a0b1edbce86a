"""The runners of a node, and whom of them a suspect gets."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from duly.core.estimate import HAND_SECONDS
from duly.core.task import Suspicion
from duly.engine.crew import LEAST_BACKOFF, MOST_BACKOFF, MOST_BESIDE, SHARED_MOST, SPARES, Crew, Member
from duly.engine.suspects import WATCH_SECONDS, Suspects
from duly.ports import Born, Ended, Runner, Told
from duly.runner.pool import Pool
from duly.runner.targets import from_callable
from duly.wire.runner import Done, Setup
from tests.engine import errands
from tests.engine.making import attempt
from tests.helpers import eventually

NOW = 0.0
SHORT = HAND_SECONDS / 10


class Live:
    """A crew, and the events of its pool."""

    def __init__(self, size: int) -> None:
        self.pool = Pool("0123456789abcdef")
        self.pool.start(Setup(targets=[from_callable(errands.nothing)]))
        self.crew = Crew(self.pool, size, most=4)
        self.done: list[Done] = []
        self.gone: list[Runner] = []

    def hear(self) -> None:
        for event in self.pool.events(0.01):
            if isinstance(event, Born):
                member = self.crew.member(event.runner.number)
                assert member is not None
                self.crew.ready(member)
            elif isinstance(event, Told):
                self.done += [message for message in event.messages if isinstance(message, Done)]
            elif isinstance(event, Ended):
                self.gone.append(event.runner)
                self.crew.ended(event.runner)

    def filled(self) -> list[Member]:
        self.crew.fill(0.0)
        eventually(lambda: self.hear() or all(member.ready for member in self.crew))
        return list(self.crew)


@pytest.fixture
def live() -> Iterator[Live]:
    live = Live(2)
    yield live
    live.pool.close()


def test_it_is_kept_at_its_number_and_a_spare(live: Live) -> None:
    assert len(live.filled()) == 2 + SPARES
    live.crew.fill(0.0)
    assert len(live.crew) == 2 + SPARES
    live.crew.retire(next(iter(live.crew)))
    live.crew.fill(0.0)
    assert len(live.crew) == 3 + SPARES, "one that retires is replaced before it is gone"


def test_the_spare_takes_over_at_once_from_one_that_is_to_be_replaced(live: Live) -> None:
    first, second, spare = live.filled()
    live.crew.hand(first, attempt(1), NOW)
    assert live.crew.taking() == [second, first], "no more are at work than it has"
    live.crew.hand(second, attempt(2), NOW)
    assert live.crew.taking() == [first, second]
    live.crew.retire(first)
    assert live.crew.taking() == [spare, second]


def test_a_runner_that_forks_for_each_was_blank_and_is_used_for_nothing_else(live: Live) -> None:
    first, second, spare = live.filled()
    live.crew.hand(first, attempt(1), NOW)
    first.remove(1, 7)
    alone = attempt(2, seconds=SHORT, isolation="fresh")
    assert not live.crew.hand(first, alone, NOW), "it has run something"
    assert live.crew.taking("fresh") == [second, spare]
    assert live.crew.hand(second, alone, NOW)
    assert live.crew.hand(second, attempt(3, seconds=SHORT, isolation="fresh"), NOW)
    assert not live.crew.hand(second, attempt(4, seconds=SHORT), NOW)
    assert live.crew.room() == 1


def test_where_something_is_around_a_runners_life_each_attempt_has_its_own(live: Live) -> None:
    live.crew = Crew(live.pool, 2, once=True)
    first = live.filled()[0]
    assert live.crew.hand(first, attempt(1, seconds=SHORT, isolation="fresh"), NOW)
    assert not first.takes
    assert live.crew.room() == 1, "it is at work, though about to be replaced"
    live.crew.fill(0.0)
    assert len(live.crew) == 5
    eventually(lambda: live.hear() or [done.key for done in live.done] == [1])
    assert eventually(lambda: live.hear() or first.runner in live.gone), "it ends by itself"


def test_a_shared_runner_takes_many_beside_the_others(live: Live) -> None:
    shared = [attempt(key, seconds=60.0, isolation="shared") for key in range(1, SHARED_MOST + 2)]
    live.filled()
    (chosen,) = live.crew.sharing()
    assert live.crew.hand(chosen, shared[0], NOW)
    for each in shared[1:-1]:
        assert chosen.fits(each, 1)
        chosen.add(each, NOW)
    assert not live.crew.hand(chosen, shared[-1], NOW)
    assert live.crew.room() == 2, "it does not count as one of those at work"
    assert not live.crew.hand(chosen, attempt(5000), NOW)
    assert live.crew.take_back(chosen) == []


def test_of_several_shared_runners_the_idle_one_ends(live: Live) -> None:
    first, second, _ = live.filled()
    one, two, three = (attempt(key, isolation="shared") for key in (1, 2, 3))
    live.crew.hand(first, one, NOW)
    first.held_back = True
    live.crew.hand(second, two, NOW)
    live.crew.hand(second, three, NOW)
    first.held_back = False
    assert live.crew.sharing() == [second, first], "the busier one comes to no end"
    first.remove(1, 7)
    live.crew.idle(first)
    assert (first.retiring, second.retiring) == (True, False)


def test_a_shared_runner_that_is_to_end_waits_for_those_it_runs(live: Live) -> None:
    member = live.filled()[0]
    live.crew.hand(member, attempt(1, isolation="shared"), NOW)
    live.crew.retire(member)
    assert not member.takes
    assert live.gone == []
    eventually(lambda: live.hear() or [done.key for done in live.done] == [1])
    member.remove(1, 7)
    live.crew.idle(member)
    assert eventually(lambda: live.hear() or member.runner in live.gone)


def test_only_who_is_ready_and_free_for_more_takes_anything(live: Live) -> None:
    live.crew.fill(0.0)
    assert live.crew.taking() == []
    first, second, _ = live.filled()
    assert live.crew.hand(first, attempt(1, seconds=SHORT), NOW)
    assert live.crew.taking() == [second, first], "the least busy first"
    for closed in ("overrun", "held_back"):
        setattr(first, closed, True)
        assert live.crew.taking() == [second]
        setattr(first, closed, False)


def test_short_tasks_are_handed_over_ahead_while_they_are_few_and_short_together(live: Live) -> None:
    member = live.filled()[0]
    taken = [live.crew.hand(member, attempt(key, seconds=SHORT), NOW) for key in range(1, 7)]
    assert taken == [True] * 4 + [False] * 2
    other = live.filled()[1]
    assert live.crew.hand(other, attempt(11, seconds=0.7 * HAND_SECONDS), NOW)
    assert not live.crew.hand(other, attempt(12, seconds=0.7 * HAND_SECONDS), NOW)


@pytest.mark.parametrize(("first", "second"), [(None, SHORT), (SHORT, None), (60.0, SHORT)])
def test_what_is_long_or_unknown_is_handed_over_alone(live: Live, first: float | None, second: float | None) -> None:
    member = live.filled()[0]
    assert live.crew.hand(member, attempt(1, seconds=first), NOW)
    assert not live.crew.hand(member, attempt(2, seconds=second), NOW)


def test_what_was_answered_makes_room_and_a_stale_answer_does_not(live: Live) -> None:
    member = live.filled()[0]
    held = attempt(1)
    assert live.crew.hand(member, held, NOW)
    assert member.remove(1, held.held.claim + 1) is None
    assert not member.fits(attempt(2, seconds=SHORT), 4)
    assert member.remove(1, held.held.claim) is held
    assert member.remove(1, held.held.claim) is None
    assert member.fits(attempt(2, seconds=SHORT), 4)


def test_what_is_handed_over_is_run_and_what_is_taken_back_is_not(live: Live) -> None:
    member = live.filled()[0]
    handed = [attempt(key, seconds=SHORT / 9) for key in range(1, 5)]
    for each in handed:
        live.crew.hand(member, each, NOW)
    back = live.crew.take_back(member)
    eventually(lambda: live.hear() or len(live.done) == len(member.handed))
    assert sorted([done.key for done in live.done] + [each.held.key for each in back]) == [1, 2, 3, 4]


def test_a_machine_that_refuses_runners_is_asked_again_ever_more_rarely(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    waits, now = [], 100.0
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        for _ in range(11):
            live.crew.fill(now)
            retry_at = live.crew.retry_at
            assert retry_at is not None
            waits.append(retry_at - now)
            live.crew.fill(retry_at - 0.01)
            assert live.crew.retry_at == retry_at, "not before its time"
            now = retry_at
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert highest > 3
    assert waits[:3] == pytest.approx([LEAST_BACKOFF, 2 * LEAST_BACKOFF, 4 * LEAST_BACKOFF])
    assert waits[-2:] == pytest.approx([MOST_BACKOFF, MOST_BACKOFF])
    assert "no runner could be started" in caplog.text
    live.crew.fill(now)
    assert (len(live.crew), live.crew.retry_at) == (2 + SPARES, None)
    live.filled()
    live.crew.refused("once more", now)
    assert live.crew.retry_at == pytest.approx(now + LEAST_BACKOFF), "a runner that was born ends the backing off"


# suspects


@pytest.fixture
def suspects(live: Live) -> Suspects:
    live.filled()
    return Suspects(live.crew)


def test_a_suspect_is_noted_once_for_a_fresh_runner_then_handed_over_and_watched(
    live: Live, suspects: Suspects
) -> None:
    suspect = attempt(1, suspect=Suspicion.SUSPECT)
    assert not suspects.alone
    suspects.take(suspect)
    assert suspects.alone
    assert suspects.to_note() is suspect
    assert suspects.to_note() is None
    assert not any(member.handed for member in live.crew)
    suspects.noted(10.0)
    assert [list(member.handed) for member in live.crew if member.handed] == [[1]]
    assert (suspects.until, suspect.held.suspect) == (10.0 + WATCH_SECONDS, Suspicion.WATCHED)
    suspects.noted(20.0)
    assert suspects.until == 10.0 + WATCH_SECONDS


def test_it_is_watched_until_its_time_is_over_and_none_afterwards(suspects: Suspects) -> None:
    suspect = attempt(1, suspect=Suspicion.SUSPECT)
    suspects.take(suspect)
    suspects.to_note()
    suspects.noted(10.0)
    assert suspects.cleared(9.9 + WATCH_SECONDS) is None
    assert suspects.alone
    assert suspects.cleared(10.0 + WATCH_SECONDS) is suspect
    assert (suspects.alone, suspect.held.suspect) == (False, Suspicion.NONE)


def test_it_waits_for_a_runner_that_has_run_nothing(live: Live, suspects: Suspects) -> None:
    used = list(live.crew)
    for member in used:
        live.crew.hand(member, attempt(member.runner.number), NOW)
    suspects.take(attempt(9))
    assert suspects.to_note() is None
    live.crew.retire(used[0])
    live.filled()
    assert suspects.to_note() is not None
    suspects.noted(0.0)
    assert [list(member.handed) for member in live.crew if member not in used] == [[9]]


def test_a_runner_that_ends_before_the_note_is_committed_is_replaced_by_another(live: Live, suspects: Suspects) -> None:
    suspect = attempt(9)
    suspects.take(suspect)
    suspects.to_note()
    chosen = suspects._member
    assert chosen is not None
    live.crew.retire(chosen)
    suspects.noted(0.0)
    assert not any(member.handed for member in live.crew)
    assert suspects.to_note() is suspect, "it is noted again, for another one"
    suspects.noted(0.0)
    assert not chosen.handed
    assert any(member.handed for member in live.crew)


def test_what_a_runner_cannot_be_handed_just_now_is_noted_for_another(live: Live, suspects: Suspects) -> None:
    suspect = attempt(9)
    suspects.take(suspect)
    suspects.to_note()
    chosen = suspects._member
    assert chosen is not None
    chosen.kind = "shared"  # it fits no more
    assert suspects.noted(0.0) is None
    assert suspects.until is None
    assert suspects.to_note() is suspect


def test_a_suspect_can_be_given_up_until_it_is_handed_over(suspects: Suspects) -> None:
    first, second = attempt(1), attempt(2)
    suspects.take(first)
    suspects.to_note()
    assert suspects.give_up() is first
    assert not suspects.alone
    suspects.take(second)
    suspects.to_note()
    suspects.noted(0.0)
    assert suspects.give_up() is None
    suspects.ended(first)
    assert suspects.alone, "another's end is not its own"
    suspects.ended(second)
    assert not suspects.alone


def test_who_waits_for_others_counts_for_none_but_not_without_end(live: Live) -> None:
    waiting = {1, 2, 3}
    live.crew = Crew(live.pool, 1, waits=waiting.__contains__)
    assert len(live.filled()) == 3 + 1 + SPARES
    waiting.update(range(1000))
    assert len(live.filled()) == 1 + MOST_BESIDE
