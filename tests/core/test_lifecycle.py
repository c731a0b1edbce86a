"""What each decision says, in every case there is; `test_lifecycle_walk` carries decisions out, one after another."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.action import Policy
from duly.core.lifecycle import CANCEL, Standing, admit, cancelled_from, finish, hand_back, note, rescue, retry
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
from duly.core.task import ENDED, WAITING, Change, Ending, Guard, Held, State, Suspicion
from duly.errors import ErrorData

AT = 1_000_000_000
ERROR = ErrorData(type="ValueError", message="no")
POLICY = Policy(max_attempts=4, retry=Backoff(first=2, factor=2, jitter=False))

TRIES = [Failure("no"), Raised(ERROR), TimedOut(5.0)]
DEATHS = [Died(signal=9), OutOfMemory(peak=9, limit=5)]
HOPELESS = [Failure("no", retry=False), Invalid(ERROR), Dropped()]
OUTCOMES = [Success('"yes"'), *TRIES, *DEATHS, *HOPELESS, Snoozed(AT + 7), Interrupted("drain"), Cancelled()]


def held(**fields) -> Held:
    fields = {"attempt": 1, "band": Band.MEDIUM, "rank": 5, **fields}
    return Held(key=7, claim=3, id="id", lane=1, **fields)


def running() -> list[Held]:
    """Every attempt without a verdict: its number, its past, and what it would owe."""
    return [
        held(attempt=attempt, deaths=deaths, losses=losses, suspect=suspect, owed=owed, band=band)
        for attempt, deaths, losses, suspect, owed, band in itertools.product(
            (1, 2, 3, 4), (0, 1, 2), (0, 1, 2), Suspicion, ((), ("undo",)), Band
        )
    ]


def decided() -> list[Held]:
    """Every attempt under a verdict: the task's own, or cleanup."""
    return [
        held(attempt=attempt, verdict=verdict, cleanup=cleanup, suspect=suspect, owed=owed)
        for attempt, verdict, cleanup, suspect, owed in itertools.product(
            (1, 4), (State.CANCELLED, State.FAILED), (0, 1, 2, 3), Suspicion, ((), ("undo",), ("undo", "drop"))
        )
        if owed or not cleanup
    ]


def finished(task: Held, outcome) -> Change:
    return finish(task, POLICY, outcome, AT, 0.5)


def decisions(task: Held) -> list[Change]:
    """All that can be decided about an attempt."""
    return [*(finished(task, outcome) for outcome in OUTCOMES), hand_back(task, AT), rescue(task, POLICY, AT, 0.5)]


def kinds(change: Change) -> list[str]:
    return [kind for kind, _, _ in change.events]


def ending(change: Change) -> Ending:
    assert change.error is not None
    return msgspec.json.decode(change.error, type=Ending)


# what holds for every decision


@pytest.mark.parametrize("tasks", [running, decided])
def test_a_decision_is_whole_and_within_bounds(tasks):
    for task in tasks():
        for change in decisions(task):
            assert (change.key, change.claim) == (task.key, task.claim), "the fence is the holder's claim"
            assert change.guard == (Guard.NONE if task.verdict is None else Guard.STANDS)
            assert change.count == len(change.events)
            assert all(at == AT for _, at, _ in change.events)
            assert change.state not in (State.RUNNING, State.PARKED, State.EXPIRED)
            assert change.ended_at == (AT if change.state in ENDED else None)
            assert (change.run_at is not None) == (change.state == State.SCHEDULED), "a date and only then"
            assert (change.value is not None) == (change.state == State.SUCCEEDED)
            assert task.attempt + change.attempt in (task.attempt, task.attempt - 1)
            assert task.cleanup + change.cleanup in (0, task.cleanup - 1, task.cleanup)
            assert change.deaths in (0, 1)
            assert change.losses in (0, 1)
            assert change.band in (None, min(task.band + 1, Band.LOW)), "repeated failure lowers by one"
            assert change.state not in ENDED or not (change.suspect or (task.suspect and change.suspect is None))


def test_under_a_verdict_nothing_succeeds_and_no_other_end_is_reached():
    for task in decided():
        for change in decisions(task):
            assert change.state in (task.verdict, State.READY, State.SCHEDULED)
            assert (change.verdict, change.cause, change.error, change.value) == (None, None, None, None)
            assert (change.deaths, change.losses, change.band, change.rank) == (0, 0, None, None)


def test_under_a_verdict_nothing_ends_while_something_is_owed():
    for task in decided():
        for change in decisions(task):
            owed = task.owed if change.owed is None else tuple(msgspec.json.decode(change.owed))
            assert (change.state in ENDED) == (not owed)


def test_without_a_verdict_only_a_success_succeeds():
    for task in running():
        for outcome in OUTCOMES:
            assert (finished(task, outcome).state == State.SUCCEEDED) == isinstance(outcome, Success)
        assert hand_back(task, AT).state not in ENDED


def test_what_was_no_real_try_is_not_counted():
    for task in [*running(), *decided()]:
        no_tries = [finished(task, Interrupted()), hand_back(task, AT)]
        if task.verdict is not None or task.suspect != Suspicion.WATCHED:
            no_tries.append(rescue(task, POLICY, AT, 0.5))
        for change in no_tries:
            assert (change.attempt, change.cleanup) == ((0, -1) if task.cleaning else (-1, 0))
        for outcome in (*TRIES, *DEATHS, *HOPELESS, Success(), Cancelled()):
            assert finished(task, outcome).attempt == 0


# outcomes of an attempt


def test_a_success_keeps_its_value_and_clears_the_mark():
    for task in running():
        change = finished(task, Success('{"a":1}'))
        assert (change.state, change.value, change.suspect, change.began) == (State.SUCCEEDED, '{"a":1}', 0, 1)
        assert (change.cause, change.error, kinds(change)) == (None, None, ["success"])


@pytest.mark.parametrize("outcome", [*TRIES, *DEATHS])
def test_a_failure_is_tried_again_after_its_backoff_while_attempts_are_left(outcome):
    for task in running():
        if task.attempt < POLICY.max_attempts and task.deaths == 0:
            change = finished(task, outcome)
            assert (change.state, change.attempt, change.rank) == (State.SCHEDULED, 0, None), "it keeps its rank"
            assert change.run_at == AT + 2**task.attempt * 1_000_000
            assert (kinds(change), change.cause, change.suspect) == (["retry"], None, 0)
            assert ending(change).kind in ("failure", "error", "timeout", "died", "memory")


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 30))
def test_the_wait_is_a_share_of_the_backoff(dice, attempt):
    policy = Policy(max_attempts=99)
    change = finish(held(attempt=attempt), policy, Raised(ERROR), AT, dice)
    assert change.run_at == AT + round(dice * min(600, 2 ** (attempt - 1)) * 1_000_000)


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Failure(1), "failure"),
        (Raised(ERROR), "error"),
        (TimedOut(5), "timeout"),
        (Died(), "died"),
        (OutOfMemory(), "memory"),
    ],
)
def test_after_the_last_attempt_it_fails_by_what_it_came_to(outcome, cause):
    change = finished(held(attempt=4), outcome)
    assert (change.state, change.cause, ending(change).kind, kinds(change)) == (State.FAILED, cause, cause, ["fail"])


@pytest.mark.parametrize(
    ("outcome", "cause"), [(Failure(1, retry=False), "failure"), (Invalid(ERROR), "invalid"), (Dropped(), "dropped")]
)
def test_what_no_retry_can_help_fails_at_once(outcome, cause):
    for task in running():
        if not task.owed:
            change = finished(task, outcome)
            assert (change.state, change.cause, change.deaths) == (State.FAILED, cause, 0)


@pytest.mark.parametrize("outcome", DEATHS)
def test_the_third_death_quarantines_and_each_is_counted(outcome):
    for task in running():
        change = finished(task, outcome)
        assert change.deaths == 1
        assert (change.cause == "quarantined") == (task.deaths == 2)
        if task.deaths == 2:
            assert change.state == (State.READY if task.owed else State.FAILED)
            assert ending(change).kind == ("died" if isinstance(outcome, Died) else "memory")


@pytest.mark.parametrize("most", [1, 2])
def test_with_two_attempts_the_third_death_never_comes(most):
    change = finish(held(attempt=most, deaths=most - 1), Policy(max_attempts=most), Died(), AT, 0.5)
    assert (change.state, change.cause) == (State.FAILED, "died")


def test_only_deaths_are_deaths():
    for task in running():
        for outcome in (*TRIES, *HOPELESS, Success(), Snoozed(AT), Interrupted(), Cancelled()):
            assert finished(task, outcome).deaths == 0


@pytest.mark.parametrize(("demote_after", "lowered"), [(0, []), (1, [1, 2, 3]), (2, [2, 3]), (3, [3])])
def test_repeated_failure_lowers_the_band_from_the_number_that_was_declared(demote_after, lowered):
    policy = msgspec.structs.replace(POLICY, demote_after=demote_after)
    changes = {n: finish(held(attempt=n, band=Band.HIGH), policy, Raised(ERROR), AT, 0.5) for n in (1, 2, 3, 4)}
    assert [n for n, change in changes.items() if change.band == Band.MEDIUM] == lowered


def test_a_snooze_comes_back_at_its_date_and_stands_behind_who_came_before_it():
    for task in running():
        change = finished(task, Snoozed(AT + 7))
        assert (change.state, change.run_at, change.rank, change.attempt) == (
            State.SCHEDULED,
            AT + 7,
            BACK_BASE + AT + 7,
            -1,
        )
        assert (change.suspect, kinds(change)) == (0, ["snooze"])


def test_what_was_interrupted_is_ready_where_it_stood():
    for task in running():
        change = finished(task, Interrupted("drain"))
        assert (change.state, change.rank, change.band, change.attempt) == (State.READY, None, None, -1)
        assert change.events == [("interrupt", AT, {"why": "drain"})]


def test_a_cancel_that_only_its_attempt_knows_of_is_the_tasks_end():
    change = finished(held(), Cancelled())
    assert (change.state, change.cause, change.verdict) == (State.CANCELLED, "cancel", None)
    owing = finished(held(owed=("undo",)), Cancelled())
    assert (owing.state, owing.cause, owing.verdict) == (State.READY, "cancel", State.CANCELLED)


def test_a_final_failure_that_owes_cleanup_is_a_verdict_and_not_yet_the_end():
    for outcome in HOPELESS:
        change = finished(held(owed=("undo",)), outcome)
        assert (change.state, change.verdict, kinds(change)) == (State.READY, State.FAILED, ["verdict"])
        assert change.cause is not None
        assert ending(change)


def test_what_was_printed_is_in_the_history_and_not_kept_twice():
    change = finish(held(attempt=4), POLICY, Raised(ERROR), AT, 0.5, output="words")
    assert change.events[0][2]["output"] == "words"
    assert ending(change).output is None


def test_what_has_an_outcome_of_its_own_has_begun():
    for task in [*running(), *decided()]:
        if not task.cleaning:
            for outcome in OUTCOMES:
                assert finished(task, outcome).began == (not isinstance(outcome, Interrupted))
        assert hand_back(task, AT).began == 0


def test_history_tells_how_an_attempt_ended_and_what_follows():
    again, failed = finished(held(), Raised(ERROR)), finished(held(attempt=4), Raised(ERROR))
    error = {"type": "ValueError", "message": "no"}
    assert again.events == [("retry", AT, {"kind": "error", "error": error, "run_at": again.run_at})]
    assert failed.events == [("fail", AT, {"kind": "error", "error": error, "cause": "error"})]
    assert finished(held(), Snoozed(AT + 7)).events == [("snooze", AT, {"until": AT + 7})]


# under a verdict


@pytest.mark.parametrize("verdict", [State.CANCELLED, State.FAILED])
def test_whatever_the_attempt_answers_under_a_verdict_is_rejected_and_the_verdict_carried_out(verdict):
    for outcome in OUTCOMES:
        change = finished(held(verdict=verdict), outcome)
        assert change.state == verdict
        noted = {Cancelled: [], Interrupted: ["interrupt"]}.get(type(outcome), ["rejected"])
        assert kinds(change) == [*noted, "cancel" if verdict == State.CANCELLED else "fail"]


def test_what_is_owed_is_turned_to_when_the_attempt_is_over():
    for outcome in OUTCOMES:
        change = finished(held(verdict=State.CANCELLED, owed=("undo",)), outcome)
        assert (change.state, change.owed, change.cleanup) == (State.READY, None, 0)


def test_cleanup_is_done_one_after_another_and_then_the_verdict_is_carried_out():
    first = finished(held(verdict=State.FAILED, cleanup=2, owed=("undo", "drop")), Success())
    assert (first.state, first.owed, first.cleanup) == (State.READY, '["drop"]', -2), "the next starts with attempt 1"
    last = finished(held(verdict=State.FAILED, cleanup=1, owed=("drop",)), Success())
    assert (last.state, last.owed, kinds(last)) == (State.FAILED, "[]", ["step", "fail"])


@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if not isinstance(outcome, Success | Interrupted)])
def test_cleanup_that_fails_three_times_is_recorded_and_left(outcome):
    changes = [finished(held(verdict=State.CANCELLED, cleanup=n, owed=("undo",)), outcome) for n in (1, 2, 3)]
    assert [change.state for change in changes] == [State.SCHEDULED, State.SCHEDULED, State.CANCELLED]
    assert [change.run_at for change in changes] == [AT + 1_000_000, AT + 1_000_000, None]
    told = {"cleanup": "undo", "outcome": type(outcome).__name__.lower()}
    assert all(change.events[0] == ("step", AT, told) for change in changes)


# beginning, handing back, rescue


def test_a_note_changes_nothing_but_what_it_tells():
    for task in [*running(), *decided()]:
        change = note(task, [("update", AT, 1)], info='{"a":1}')
        plain = Change(task.key, task.claim, 1, [("update", AT, 1)], None, None, None, State.RUNNING, Guard.ANY)
        assert change == msgspec.structs.replace(plain, info='{"a":1}')


@pytest.mark.parametrize(("before", "after"), [(Suspicion.NONE, None), (Suspicion.SUSPECT, 2), (Suspicion.WATCHED, 2)])
def test_a_suspect_that_begins_is_watched(before, after):
    change = note(held(suspect=before), [], started_at=AT)
    assert (change.began, change.started_at, change.suspect) == (1, AT, after)
    assert note(held(suspect=before), []).suspect is None
    assert note(held(suspect=before), [], started_at=AT, cleared=True).suspect == Suspicion.NONE


def test_a_suspect_that_goes_back_is_one_still_and_watched_no_more():
    for suspect, then in ((Suspicion.NONE, None), (Suspicion.SUSPECT, 1), (Suspicion.WATCHED, 1)):
        assert hand_back(held(suspect=suspect), AT).suspect == then
        assert finished(held(suspect=suspect), Interrupted()).suspect == then


def test_an_answer_clears_the_mark():
    for outcome in (*TRIES, *DEATHS, *HOPELESS, Success(), Snoozed(AT), Cancelled()):
        for owed in ((), ("undo",)):
            assert finished(held(suspect=Suspicion.WATCHED, owed=owed, attempt=4), outcome).suspect == Suspicion.NONE


def test_a_lost_node_charges_nobody_but_from_the_second_on_marks_who_was_there():
    for task in running():
        if task.suspect != Suspicion.WATCHED:
            change = rescue(task, POLICY, AT, 0.5)
            assert (change.state, change.attempt, change.losses, change.deaths) == (State.READY, -1, 1, 0)
            assert change.suspect == (Suspicion.SUSPECT if task.losses >= 1 else None)
            assert change.events == [("rescue", AT, {"losses": task.losses + 1})]


def test_what_a_node_was_not_lost_for_is_given_back_as_it_was():
    for suspect, then in ((0, None), (Suspicion.SUSPECT, Suspicion.SUSPECT), (Suspicion.WATCHED, Suspicion.SUSPECT)):
        task = held(suspect=suspect, losses=1, attempt=2)
        change = rescue(task, POLICY, AT, 0.5, blamed=False)
        assert (change.state, change.attempt, change.losses, change.deaths) == (State.READY, -1, 0, 0)
        assert (change.suspect, change.events) == (then, [("rescue", AT, None)])
    verdict = held(verdict=State.CANCELLED)
    assert rescue(verdict, POLICY, AT, 0.5, blamed=False) == rescue(verdict, POLICY, AT, 0.5)


def test_a_node_lost_with_a_watched_suspect_is_a_death_of_it():
    change = rescue(held(suspect=Suspicion.WATCHED, losses=2), POLICY, AT, 0.5)
    assert (change.state, change.deaths, change.attempt, change.losses) == (State.SCHEDULED, 1, 0, 0)
    assert (change.suspect, ending(change).reason) == (Suspicion.SUSPECT, "its node was lost"), (
        "and it is a suspect still"
    )
    third = rescue(held(suspect=Suspicion.WATCHED, losses=2, deaths=2), POLICY, AT, 0.5)
    assert (third.state, third.cause, third.suspect) == (State.FAILED, "quarantined", Suspicion.NONE)


@pytest.mark.parametrize("verdict", [State.CANCELLED, State.FAILED])
def test_what_goes_back_under_a_verdict_ends_by_it(verdict):
    assert hand_back(held(verdict=verdict), AT).state == verdict
    assert rescue(held(verdict=verdict), POLICY, AT, 0.5).state == verdict
    for back in (hand_back, lambda task, at: rescue(task, POLICY, at, 0.5)):
        owing = back(held(verdict=verdict, owed=("undo",)), AT)
        cleaning = back(held(verdict=verdict, owed=("undo",), cleanup=2), AT)
        assert (owing.state, owing.attempt, owing.cleanup) == (State.READY, -1, 0)
        assert (cleaning.state, cleaning.attempt, cleaning.cleanup) == (State.READY, 0, -1)


# what is not in the store yet


def test_an_outcome_takes_along_what_the_store_does_not_have_yet():
    before = [("start", AT - 5, None), ("update", AT - 1, 0.5)]
    for task in [*running(), *decided()]:
        for outcome in OUTCOMES:
            alone = finished(task, outcome)
            change = finish(task, POLICY, outcome, AT, 0.5, before=before, started_at=AT - 5, info="{}")
            expected = {"events": [*before, *alone.events], "count": 2 + alone.count}
            expected |= {"started_at": AT - 5, "info": "{}", "began": 1}
            assert change == msgspec.structs.replace(alone, **expected)


# anybody


def test_a_task_with_a_date_waits_for_it_and_any_other_is_ready():
    assert admit(Options()) == State.READY
    assert admit(Options(run_at=1)) == State.SCHEDULED


@pytest.mark.parametrize("owed", [False, True])
def test_a_cancel_ends_what_waits_and_asks_what_runs(owed):
    for state in WAITING:
        found = cancelled_from(state, None, owed=owed)
        expected = (State.READY, State.CANCELLED, "asked") if owed else (State.CANCELLED, None, "cancelled")
        assert (found.to, found.verdict, found.answer) == expected
    found = cancelled_from(State.RUNNING, None, owed=owed)
    assert (found.to, found.verdict, found.answer) == (State.RUNNING, State.CANCELLED, "asked")


@pytest.mark.parametrize("owed", [False, True])
def test_a_cancel_changes_nothing_where_the_end_is_decided(owed):
    for state in ENDED:
        assert cancelled_from(state, None, owed=owed) is None
    for state, verdict in itertools.product(State, (State.CANCELLED, State.FAILED)):
        assert cancelled_from(state, verdict, owed=owed) is None


def test_the_plan_of_cancelling_has_one_row_for_each_case():
    cases = [(cancel.state, cancel.owed) for cancel in CANCEL]
    assert sorted(cases) == sorted(itertools.product([*WAITING, State.RUNNING], (False, True)))


def standing(state, *, verdict=None, rank=BACK_BASE + 5, options=None):
    return Standing(key=7, claim=3, state=state, verdict=verdict, band=Band.LOW, rank=rank, options=options)


@pytest.mark.parametrize("verdict", [None, State.FAILED])
@pytest.mark.parametrize(("options", "band"), [(None, Band.MEDIUM), ('{"priority":"high","front":true}', Band.HIGH)])
def test_what_failed_begins_anew_at_the_back_of_its_declared_band(options, band, verdict):
    release = retry(standing(State.FAILED, verdict=verdict, options=options), AT)
    assert (release.key, release.claim, release.found) == (7, 3, State.FAILED), "it is a compare-and-swap"
    assert (release.state, release.anew, release.band, release.rank) == (State.READY, True, band, BACK_BASE + AT)
    assert release.events == [("release", AT, {"from": "failed"})]


@pytest.mark.parametrize(("state", "to"), [(State.SCHEDULED, State.READY), (State.PARKED, State.PARKED)])
@pytest.mark.parametrize("rank", [BACK_BASE + 5, -5, BACK_BASE + 2 * AT])
def test_what_waits_for_its_date_is_due_now_and_forgets_nothing(state, to, rank):
    release = retry(standing(state, rank=rank), AT)
    assert (release.state, release.run_at, release.anew, release.band) == (to, AT, False, Band.LOW)
    assert release.rank == min(rank, BACK_BASE + AT), "it comes no later than what comes now"


def test_no_other_task_is_retried():
    for state in (State.READY, State.RUNNING, State.SUCCEEDED, State.CANCELLED, State.EXPIRED):
        assert retry(standing(state), AT) is None
    for state, verdict in itertools.product((*WAITING, State.RUNNING), (State.CANCELLED, State.FAILED)):
        assert retry(standing(state, verdict=verdict), AT) is None, "cleanup comes first"
