import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.retry import LONGEST, Backoff
from duly.errors import OptionInvalid

seconds = st.floats(0, LONGEST)
factors = st.floats(1, 1e300)
dice = st.floats(0, 1, exclude_max=True)


@st.composite
def backoffs(draw, **fixed):
    first, most = sorted((draw(seconds), draw(seconds)))
    return Backoff(first, draw(factors), most, **fixed)


@given(backoffs(), st.integers(1, 10**6), dice)
def test_a_wait_is_a_share_of_the_longest_one(backoff, failures, chance):
    longest = Backoff(backoff.first, backoff.factor, backoff.most, jitter=False).wait(failures, chance)
    assert backoff.wait(failures, chance) == pytest.approx(longest * chance)
    assert 0 <= backoff.wait(failures, chance) <= longest <= backoff.most


@given(backoffs(jitter=False), st.integers(1, 10**6))
def test_without_jitter_a_wait_never_shrinks_and_chance_has_no_say(backoff, failures):
    assert backoff.first == backoff.wait(1, 0.0) <= backoff.wait(failures, 0.3) <= backoff.wait(failures + 1, 0.9)


@given(seconds, st.floats(1, 10), st.integers(1, 20))
def test_each_wait_is_the_last_one_times_the_factor_until_the_most(first, factor, failures):
    backoff = Backoff(first, factor, LONGEST, jitter=False)
    wait, then = backoff.wait(failures, 0), backoff.wait(failures + 1, 0)
    assert then == pytest.approx(min(backoff.most, wait * backoff.factor))


def test_a_wait_beyond_all_numbers_is_the_most():
    assert Backoff(jitter=False).wait(10**9, 0) == 600
    assert Backoff(1, 10**400, 60, jitter=False).wait(2, 0) == 60
    assert Backoff(0, 2, 60).wait(10**9, 0.5) == 0


def test_the_defaults_are_one_second_doubled_up_to_ten_minutes():
    waits = [Backoff(jitter=False).wait(failures, 0) for failures in range(1, 13)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"first": math.nan},
        {"first": 601},
        {"most": math.inf},
        {"most": math.nan},
        {"most": LONGEST + 1},
        {"factor": 0.5},
        {"factor": math.inf},
        {"factor": math.nan},
        {"first": "1s"},
        {"factor": None},
    ],
)
def test_what_cannot_be_waited_is_refused(wrong):
    with pytest.raises(OptionInvalid, match="Backoff"):
        Backoff(**wrong)
