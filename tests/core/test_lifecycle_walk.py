"""One task from its beginning to its end, in all the ways there are, decided by the lifecycle and kept by a store.

The rules of counting and ending stand here once more, in the plainest form, and are compared after every step.
"""

import random
from contextlib import closing

import msgspec
import pytest

from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.order import BACK_BASE, Band
from duly.core.outcome import (
    Cancelled,
    Died,
    Dropped,
    Failure,
    Interrupted,
    Invalid,
    OutOfMemory,
    Raised,
    Snoozed,
    Success,
    TimedOut,
)
from duly.core.passport import Options
from duly.core.retry import Backoff
from duly.core.task import ENDED, WAITING, State, Suspicion, shown
from duly.errors import ErrorData
from duly.ports import CancelAsked, Request, Retried, Submission, Want
from duly.store.sqlite.store import SqliteStore

ERROR = ErrorData(type="ValueError", message="no")
ID = "018bcfe5-6800-7000-8000-000000000000"
SECOND = 1_000_000
DAY = 86_400 * SECOND

TRIES = [Failure("no"), Raised(ERROR), TimedOut(5.0), Died(signal=9), Died(exit_code=0), OutOfMemory(peak=2, limit=1)]
FINAL = [Success('"yes"'), Failure("no", retry=False), Invalid(ERROR), Dropped()]


class Walk:
    """The task in the store, and beside it what the design says of it; every choice is the dice's."""

    def __init__(self, dice):
        self.dice = dice
        self.now, self.number = DAY, 1
        self.store = SqliteStore(":memory:", clock=lambda: self.now)
        self.policy = Policy(max_attempts=dice.choice([1, 3, 5, 9]), retry=Backoff(first=1, most=60, jitter=False))
        self.will_owe = dice.choice([(), (), ("undo",), ("undo", "drop")])
        self.store.open()
        (lane,) = self.store.lanes([("default", "email:send", 1)])
        self.lane = lane.number
        self.node = self.store.enlist("node", "", "")
        run_at = dice.choice([None, self.now + SECOND])
        self.state = State.READY if run_at is None else State.SCHEDULED
        assert lifecycle.admit(Options(run_at=run_at)) == self.state
        row = Submission(ID, self.lane, self.state, Band.MEDIUM, BACK_BASE, 1, run_at or 0, run_at, None, "{}", "", "")
        assert self.exchange(submits=[row]).submitted == {ID: "created"}

        self.held = self.stale = self.verdict = self.end = None
        self.attempt = self.deaths = self.losses = self.cleanup = 0
        self.suspect = Suspicion.NONE
        self.owed = ()

    def step(self):
        """Do one of the things that may happen now; a cancel seldom, since after it little else does."""
        if self.held is None:
            steps = [self.the_time_comes, self.claim, self.answer_with_a_stale_claim, self.cancel, self.retry]
            weights = [4, 8, 1, 0.2, 0.5]
        else:
            steps = [self.finish, self.go_back, self.lose_the_node, self.begin, self.snooze, self.prove_innocent]
            steps += [self.stop_for_the_verdict, self.answer_with_a_stale_claim, self.cancel, self.retry]
            weights = [4, 2, 2, 4, 1, 0.5, 1, 1, 0.5, 0.2]
        (step,) = self.dice.choices(steps, weights)
        step()
        return step.__name__

    def exchange(self, **said):
        """Do one exchange, as the node."""
        self.now += 1
        reply = self.store.exchange(Request(node=self.node, number=self.number, **said))
        self.number += reply.counted
        return reply

    def row(self):
        (row,) = self.store.find([ID])
        return row

    # the steps

    def the_time_comes(self):
        self.now += DAY
        self.exchange()
        if self.state == State.SCHEDULED:
            self.state = State.READY

    def claim(self):
        claims = self.exchange(wants=[Want([self.lane], 1), Want([self.lane], 1, suspect=True)]).claims
        assert bool(claims) == (self.state == State.READY), "what is ready is claimed, and nothing else"
        if claims:
            (self.held,) = claims
            self.state = State.RUNNING
            if self.verdict is None:
                self.attempt += 1
            else:
                self.cleanup += 1
            assert (self.held.cleanup, self.held.owed) == (self.cleanup, self.owed)
            assert self.held.cleaning == (self.verdict is not None)
            assert self.held.claim > (self.stale.claim if self.stale else 0), "a claim only grows"

    def carry_out(self, decide):
        """Decide and commit; if a cancel came between, hear of it and decide again, as a node does."""
        change = decide(self.held)
        reply = self.exchange(changes=[change])
        if reply.misses:
            (miss,) = reply.misses
            assert self.held.verdict is None
            assert (miss.verdict, miss.claim_now) == (self.verdict, self.held.claim)
            self.held = msgspec.structs.replace(self.held, verdict=miss.verdict)
            assert not self.exchange(changes=[decide(self.held)]).misses
        self.held, self.stale = None, self.held

    def begin(self):
        change = lifecycle.note(self.held, [("start", self.now, None)], started_at=self.now)
        if self.verdict is None:
            self.owed = self.will_owe
            self.held = msgspec.structs.replace(self.held, owed=self.owed)
            change = msgspec.structs.replace(
                change, owed=msgspec.json.encode(self.owed).decode() if self.owed else None
            )
        self.exchange(changes=[change])
        if self.suspect:
            self.suspect = Suspicion.WATCHED
        self.held = msgspec.structs.replace(self.held, suspect=self.suspect)

    def prove_innocent(self):
        if not self.suspect:
            return
        self.exchange(changes=[lifecycle.note(self.held, [], cleared=True)])
        self.suspect = Suspicion.NONE
        self.held = msgspec.structs.replace(self.held, suspect=self.suspect)

    def cancel(self):
        answers = self.exchange(cancels=[CancelAsked(ID, "enough")]).cancelled
        if self.state in ENDED:
            assert answers == {ID: "ended"}
        elif self.verdict is not None:
            assert answers == {ID: "asked"}
        elif self.state in WAITING and not self.owed:
            assert answers == {ID: "cancelled"}
            self.ends(State.CANCELLED)
        else:
            assert answers == {ID: "asked"}
            self.verdict = State.CANCELLED
            self.state = State.RUNNING if self.held else State.READY

    def retry(self):
        retried = self.exchange(retries=[ID]).retried[ID]
        if self.state == State.FAILED:
            assert retried == Retried(True, "ready")
            self.begins_anew()
        elif self.state == State.SCHEDULED and self.verdict is None:
            assert retried == Retried(True, "ready")
            self.state = State.READY
        else:
            assert retried == Retried(False, shown(self.state, self.verdict))

    def finish(self):
        outcome = self.dice.choice(FINAL if self.dice.random() < 0.1 else TRIES)
        self.carry_out(lambda held: lifecycle.finish(held, self.policy, outcome, self.now, 0.5))
        if self.verdict is not None:
            self.finished_under_verdict(outcome)
        elif isinstance(outcome, Success):
            self.ends(State.SUCCEEDED)
        else:
            self.suspect = Suspicion.NONE
            self.deaths += isinstance(outcome, Died | OutOfMemory)
            final = self.attempt >= self.policy.max_attempts or (self.deaths == 3 and self.died(outcome))
            if final or isinstance(outcome, Invalid | Dropped) or outcome == Failure("no", retry=False):
                self.fails()
            else:
                self.state = State.SCHEDULED

    def snooze(self):
        until = self.now + self.dice.choice([0, SECOND])
        self.carry_out(lambda held: lifecycle.finish(held, self.policy, Snoozed(until), self.now, 0.5))
        if self.verdict is not None:
            self.finished_under_verdict(Snoozed(until))
        else:
            self.attempt -= 1
            self.suspect = Suspicion.NONE
            self.state = State.SCHEDULED if self.row().state == State.SCHEDULED else State.READY  # its date may be over

    def go_back(self):
        if self.dice.random() < 0.5:
            self.carry_out(lambda held: lifecycle.finish(held, self.policy, Interrupted(), self.now, 0.5))
        else:
            self.carry_out(lambda held: lifecycle.hand_back(held, self.now))
        self.goes_back()

    def lose_the_node(self):
        (found,) = self.store.held(self.node, 10)
        self.held = msgspec.structs.replace(found, verdict=self.held.verdict)
        self.carry_out(lambda held: lifecycle.rescue(held, self.policy, self.now, 0.5))
        if self.verdict is not None:
            self.goes_back()
        elif self.suspect == Suspicion.WATCHED:
            self.deaths += 1
            self.suspect = Suspicion.SUSPECT
            if self.deaths == 3 or self.attempt >= self.policy.max_attempts:
                self.suspect = Suspicion.NONE
                self.fails()
            else:
                self.state = State.SCHEDULED
        else:
            self.losses += 1
            self.goes_back()
            if self.losses >= 2:
                self.suspect = Suspicion.SUSPECT

    def stop_for_the_verdict(self):
        if self.verdict is None:
            return
        self.carry_out(lambda held: lifecycle.finish(held, self.policy, Cancelled(), self.now, 0.5))
        self.finished_under_verdict(Cancelled())

    def answer_with_a_stale_claim(self):
        if self.stale is None:
            return
        before, outcome = self.row(), self.dice.choice([*TRIES, *FINAL])
        decisions = [
            lifecycle.finish(self.stale, self.policy, outcome, self.now, 0.5),
            lifecycle.hand_back(self.stale, self.now),
            lifecycle.rescue(self.stale, self.policy, self.now, 0.5),
            lifecycle.note(self.stale, [("update", self.now, 1)], started_at=self.now),
        ]
        for change in decisions:
            assert len(self.exchange(changes=[change]).misses) == 1
        assert self.row() == before

    # what the design says

    @staticmethod
    def died(outcome):
        return isinstance(outcome, Died | OutOfMemory)

    def ends(self, state):
        self.state = state
        self.suspect = Suspicion.NONE
        self.owed = ()
        self.end = self.row()

    def begins_anew(self):
        self.state = State.READY
        self.attempt = self.deaths = self.losses = self.cleanup = 0
        self.verdict = self.end = None

    def fails(self):
        if not self.owed:
            self.ends(State.FAILED)
        else:
            self.verdict = State.FAILED
            self.state = State.READY

    def goes_back(self):
        if self.verdict is None:
            self.attempt -= 1
            self.state = State.READY
            self.suspect = Suspicion.SUSPECT if self.suspect else Suspicion.NONE
        elif self.cleanup:
            self.cleanup -= 1
            self.state = State.READY
        else:
            self.attempt -= 1
            self.carried_out()

    def finished_under_verdict(self, outcome):
        if not self.cleanup:
            self.carried_out()
        elif not isinstance(outcome, Success) and self.cleanup < 3:
            self.state = State.SCHEDULED
        else:
            self.owed = self.owed[1:]
            if self.owed:
                self.cleanup = 0
            self.carried_out()

    def carried_out(self):
        if self.owed:
            self.state = State.READY
        else:
            self.ends(self.verdict)

    # what always holds

    def the_store_and_the_design_agree(self):
        row = self.row()
        assert (State(row.state), row.verdict) == (self.state, self.verdict)
        assert (row.attempt, row.deaths, row.losses) == (self.attempt, self.deaths, self.losses)
        assert (row.value is not None) == (self.state == State.SUCCEEDED)
        assert (row.ended_at is not None) == (self.state in ENDED)
        if self.verdict is None and self.state not in ENDED:
            assert row.suspect == self.suspect
        if self.deaths == 3:
            assert row.cause in ("quarantined", "cancel", "died", "memory")
        assert 0 <= row.attempt <= self.policy.max_attempts
        assert row.deaths <= lifecycle.MOST_DEATHS

    def an_ended_task_does_not_change_by_itself(self):
        if self.end is not None:
            assert self.row() == self.end

    def history_is_numbered_without_gaps(self):
        numbers = [
            run.first + place
            for run in self.store.events(ID, 0, 1_000)
            for place in range(len(msgspec.json.decode(run.body)))
        ]
        assert numbers == list(range(2, self.row().seq + 1))

    def check(self):
        self.the_store_and_the_design_agree()
        self.an_ended_task_does_not_change_by_itself()
        self.history_is_numbered_without_gaps()


@pytest.mark.parametrize("block", range(0, 200, 20))
def test_the_store_and_the_design_agree_whatever_happens(block):
    for seed in range(block, block + 20):
        walk, done = Walk(random.Random(seed)), []
        with closing(walk.store):
            try:
                while len(done) < 60 and not (walk.end and done[-1] == "cancel"):
                    done.append(walk.step())
                    walk.check()
            except AssertionError as error:
                error.add_note(f"walk {seed}: {', '.join(done)}, and then?")
                raise
