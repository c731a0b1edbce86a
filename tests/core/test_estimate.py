import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.estimate import AHEAD_MOST, AHEAD_SECONDS, HAND_MOST, HAND_SECONDS, RunTime, ahead, fits

runtimes = st.floats(0, 86_400)


def learned(times):
    time = RunTime()
    for seconds in times:
        time.observe(seconds)
    return time.seconds


def test_before_the_first_task_nothing_is_known():
    assert learned([]) is None


@given(runtimes)
def test_the_first_task_is_taken_at_its_word(seconds):
    assert learned([seconds]) == max(seconds, 1e-6)


@given(st.lists(runtimes, min_size=1, max_size=50))
def test_a_run_time_is_never_zero_and_one_task_moves_it_by_one_step_at_most(times):
    time = RunTime()
    for seconds in times:
        before = time.seconds
        time.observe(seconds)
        assert time.seconds > 0
        if before is not None:
            assert before * 0.95 <= time.seconds <= before * 1.5


@pytest.mark.parametrize("draw", ["uniform", "exponential", "two kinds"])
def test_about_nine_of_ten_tasks_stay_below_it(draw):
    dice = random.Random(7)
    draws = {
        "uniform": lambda: dice.uniform(0.001, 0.1),
        "exponential": lambda: dice.expovariate(100),
        "two kinds": lambda: dice.choice([0.001, 0.1]) * dice.uniform(0.9, 1.1),
    }
    time = RunTime()
    below = 0
    for number in range(12_000):
        seconds = draws[draw]()
        if number >= 2_000:
            below += seconds <= time.seconds
        time.observe(seconds)
    assert 0.84 <= below / 10_000 <= 0.94


def test_it_follows_when_tasks_become_longer_or_shorter():
    assert 1 <= learned([0.001] * 100 + [1.0] * 20) <= 1.5
    assert 0.001 * 0.95 <= learned([1.0] * 100 + [0.001] * 140) <= 0.0015


# handing over


@given(st.none() | runtimes, st.none() | runtimes)
def test_an_idle_runner_takes_any_task(waiting_seconds, seconds):
    assert fits(0, waiting_seconds, seconds)


@given(st.integers(1, 100), runtimes)
def test_what_is_not_known_to_be_short_is_handed_over_alone(waiting, seconds):
    assert not fits(waiting, seconds, None)
    assert not fits(waiting, None, seconds)
    assert not fits(waiting, 0.0, max(seconds, HAND_SECONDS * 1.01))


@given(st.integers(1, 2 * HAND_MOST), st.floats(0, 2 * HAND_SECONDS), st.floats(0, 2 * HAND_SECONDS))
def test_others_are_handed_over_while_they_are_few_and_short_together(waiting, waiting_seconds, seconds):
    assert fits(waiting, waiting_seconds, seconds) == (
        waiting < HAND_MOST and waiting_seconds + seconds <= HAND_SECONDS
    )


def test_one_in_flight_means_one():
    assert fits(0, 0.0, 1e-6, most=1)
    assert not fits(1, 0.0, 1e-6, most=1)


@given(st.integers(0, 64), st.floats(1e-7, 86_400))
def test_held_ahead_is_a_few_commits_worth_of_work(runners, seconds):
    count = ahead(runners, seconds)
    assert 0 <= count <= AHEAD_MOST
    assert count * seconds <= runners * AHEAD_SECONDS * 1.000001
    assert count == AHEAD_MOST or (count + 1) * seconds > runners * AHEAD_SECONDS * 0.999999


def test_of_unknown_work_nothing_is_held_ahead():
    assert ahead(8, None) == ahead(0, 0.001) == 0
