import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from duly.core.stopping import ASK_SECONDS, RUNGS, SAMPLE_SECONDS, Ladder, Stopping, stronger

times = st.integers(0, 1_000).map(float)
ladders = st.builds(Ladder, since=times, grace=times)


def rungs_at(stopping, *moments):
    return [stopping.look(moment)[0] for moment in moments]


# the ladder


@given(ladders)
def test_a_rung_is_due_from_its_very_moment_until_the_next(ladder):
    for rung, higher in zip(RUNGS, [*RUNGS[1:], None], strict=True):
        end = ladder.at(higher) if higher else math.inf
        if ladder.at(rung) < end:
            assert ladder.due(ladder.at(rung)) == rung
            assert ladder.due(math.nextafter(end, 0)) == rung


@given(ladders)
def test_half_of_the_grace_is_before_terminating_and_half_before_killing(ladder):
    assert ladder.at("ask") == ladder.since
    assert ladder.at("terminate") - ladder.at("ask") == ladder.at("kill") - ladder.at("terminate") == ladder.grace / 2


def test_without_grace_it_is_killed_at_once():
    assert Ladder(since=10, grace=0).due(10) == "kill"


@given(ladders, ladders)
def test_of_two_ladders_the_one_that_kills_sooner_holds(old, new):
    kept = stronger(old, new)
    assert kept in (old, new)
    assert kept.at("kill") == min(old.at("kill"), new.at("kill"))
    assert stronger(None, new) is new


# stopping


def test_nothing_is_stopped_that_nobody_asked_to_stop():
    stopping = Stopping(timeout=None, grace=5, memory=None)
    stopping.began(0)
    assert stopping.look(1e9) == (None, math.inf)
    assert stopping.reason is None


def test_a_time_limit_is_reached_at_its_very_moment_and_the_ladder_climbed_from_there():
    stopping = Stopping(timeout=10, grace=4, memory=None)
    stopping.began(100)
    assert stopping.look(109.9) == (None, 110)
    assert stopping.look(110) == ("ask", 110 + ASK_SECONDS)
    assert stopping.reason == "timeout"
    assert stopping.look(111.99) == ("ask", 112)
    assert stopping.look(112) == ("terminate", 114)
    assert stopping.look(114) == ("kill", math.inf)


def test_it_is_asked_again_and_again_since_a_signal_may_come_to_nothing():
    stopping = Stopping(timeout=10, grace=4, memory=None)
    stopping.ask("cancel", 100)
    rung, again = stopping.look(100)
    assert (rung, again) == ("ask", 100 + ASK_SECONDS)
    assert stopping.look(again - ASK_SECONDS / 2) == (None, again)
    assert stopping.look(again) == ("ask", again + ASK_SECONDS)


def test_time_counts_from_the_beginning_of_the_code_and_not_before():
    stopping = Stopping(timeout=10, grace=4, memory=None)
    assert stopping.look(1_000) == (None, math.inf)


def test_who_looks_late_finds_the_rung_of_that_moment():
    stopping = Stopping(timeout=10, grace=4, memory=None)
    stopping.began(0)
    assert stopping.look(13) == ("terminate", 14), "it counts from the limit, not from the look"
    assert rungs_at(stopping, 14) == ["kill"]


def test_a_second_reason_leaves_the_first_and_gives_no_more_time():
    stopping = Stopping(timeout=None, grace=4, memory=None)
    stopping.ask("cancel", 10)
    stopping.ask("drain", 12)
    assert stopping.reason == "cancel"
    assert rungs_at(stopping, 10, 12, 14) == ["ask", "terminate", "kill"]


def test_who_is_in_a_hurry_may_give_less_time():
    stopping = Stopping(timeout=None, grace=100, memory=None)
    stopping.ask("cancel", 10)
    stopping.ask("cancel", 11, 0.0)
    assert rungs_at(stopping, 11) == ["kill"]


def test_too_much_memory_leaves_no_time_whatever_the_reason_was_before():
    stopping = Stopping(timeout=None, grace=100, memory=1_000)
    stopping.began(0)
    stopping.ask("cancel", 10)
    stopping.measured(1_000)
    assert (rungs_at(stopping, 10), stopping.reason) == (["ask"], "cancel")
    stopping.measured(1_001)
    assert (rungs_at(stopping, 10.1), stopping.reason) == (["kill"], "memory")
    stopping.measured(7)
    assert stopping.peak == 1_001


def test_memory_is_measured_every_50_ms_once_it_began_and_only_if_it_has_a_limit():
    stopping = Stopping(timeout=10, grace=4, memory=1_000)
    assert (stopping.measures, stopping.peak) == (None, 0)
    assert stopping.look(1) == (None, math.inf)
    stopping.began(1)
    assert stopping.measures == 1_000
    assert stopping.look(1) == (None, 1 + SAMPLE_SECONDS)
    assert stopping.look(10.99) == (None, 11), "the limit is sooner"
    without = Stopping(timeout=None, grace=4, memory=None)
    without.began(1)
    without.measured(10**12)
    assert (without.measures, without.look(2), without.peak) == (None, (None, math.inf), 10**12)


class Stops(RuleBasedStateMachine):
    """Anything may be asked of it, at any time; what it says is compared with the plain reading of the rules."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.timeout, self.grace = 50.0, 8.0
        self.stopping = Stopping(self.timeout, self.grace, memory=1_000)
        self.began_at = None
        self.kill_at = math.inf
        self.stood_on = -1
        self.reasons = []

    @rule(by=st.integers(0, 20))
    def wait(self, by):
        self.now += by / 2

    @precondition(lambda self: self.began_at is None)
    @rule()
    def begin(self):
        self.began_at = self.now
        self.stopping.began(self.now)

    @rule(reason=st.sampled_from(["cancel", "drain"]), grace=st.none() | st.integers(0, 20).map(float))
    def ask(self, reason, grace):
        self.stopping.ask(reason, self.now, grace)
        self.kill_at = min(self.kill_at, self.now + (self.grace if grace is None else grace))
        self.reasons.append(reason)

    @precondition(lambda self: self.began_at is not None)
    @rule(size=st.sampled_from([10, 1_000, 1_001, 5_000]))
    def measure(self, size):
        self.stopping.measured(size)
        if size > 1_000:
            self.kill_at = 0.0
            self.reasons.insert(0, "memory")

    @rule()
    def look(self):
        limit_at = math.inf if self.began_at is None else self.began_at + self.timeout
        if not self.reasons and self.now >= limit_at:
            self.kill_at = limit_at + self.grace
            self.reasons.append("timeout")
        rung, again = self.stopping.look(self.now)
        assert again > self.now
        if rung is not None:
            assert RUNGS.index(rung) > self.stood_on or rung == "ask", "nobody climbs down"
            assert RUNGS.index(rung) >= self.stood_on
            self.stood_on = RUNGS.index(rung)
        assert (self.stood_on >= 0) == bool(self.reasons), "it is asked as soon as there is a reason, and not before"
        assert (self.stood_on == RUNGS.index("kill")) == (self.now >= self.kill_at), "killed in time, and not before"
        assert self.now >= self.kill_at or again <= self.kill_at, "it asks to be looked at in time"

    @invariant()
    def the_first_reason_stays_unless_memory_ran_out(self):
        assert self.stopping.reason == (self.reasons[0] if self.reasons else None)


Stops.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStops = Stops.TestCase


def test_rungs_are_climbed_in_order():
    assert RUNGS == ("ask", "terminate", "kill")
    with pytest.raises(ValueError, match="tuple"):
        Ladder(since=0, grace=1).at("plead")
