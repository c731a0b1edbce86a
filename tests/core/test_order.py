import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.order import BACK_BASE, Band, Place, band_of, lowered, rank_terms
from duly.errors import OptionInvalid

YEARS = 4_102_444_800_000_000  # microseconds until the year 2100
moments = st.integers(1, YEARS)
tasks = st.lists(
    st.tuples(st.sampled_from(Band), st.sampled_from(Place), st.none() | moments),  # band, place, date
    unique_by=id,
    max_size=20,
)


def rank(place, at, when):
    return rank_terms(place, due=when, deadline=when if place is Place.DEADLINE else None).at(at)


@given(tasks, st.data())
def test_band_and_rank_alone_give_the_order_that_is_promised(submitted, data):
    stored = []
    for number, (band, place, when) in enumerate(submitted):
        at = 1_000 + number  # the store never uses a moment twice
        date = (when or YEARS) if place is Place.DEADLINE else when
        stored.append((band, place, date, at))

    def promised(task):
        band, place, date, at = task
        within = -at if place is Place.FRONT else date if place is Place.DEADLINE else max(at, date or 0)
        return band, place, within

    by_rank = sorted(stored, key=lambda task: (task[0], rank(task[1], task[3], task[2])))
    assert [promised(task) for task in by_rank] == sorted(promised(task) for task in stored)


@given(st.lists(moments, unique=True))
def test_at_the_back_first_come_is_first_served(arrivals):
    ranks = [rank(Place.BACK, at, None) for at in sorted(arrivals)]
    assert ranks == sorted(set(ranks))


@given(st.lists(moments, unique=True))
def test_at_the_front_the_newest_is_first(arrivals):
    ranks = [rank(Place.FRONT, at, None) for at in sorted(arrivals)]
    assert ranks == sorted(set(ranks), reverse=True)


@given(moments, moments, moments)
def test_the_front_goes_before_every_deadline_and_a_deadline_before_the_back(front, deadline, back):
    assert rank(Place.FRONT, front, None) < rank(Place.DEADLINE, 0, deadline) < rank(Place.BACK, back, None)


@given(moments, moments, moments)
def test_with_a_date_a_task_stands_as_if_it_had_come_then(submitted, date, other):
    with_date, without = rank(Place.BACK, submitted, date), rank(Place.BACK, other, None)
    assert (with_date < without) == (max(submitted, date) < other)


@given(moments, st.integers(-YEARS, 0))
def test_a_clock_before_1970_puts_nobody_in_anothers_range(moment, wrong):
    assert rank(Place.FRONT, wrong, None) <= 0
    assert rank(Place.BACK, wrong, None) >= BACK_BASE


@given(st.sampled_from(Place), st.integers(-(2**62), YEARS), st.none() | moments)
def test_a_rank_fits_the_store_and_is_what_its_terms_say(place, at, when):
    terms = rank_terms(place, due=when, deadline=when)
    assert terms.at(at) == terms.base + terms.sign * max(at, terms.floor)
    assert -(2**63) <= terms.at(at) < 2**63


def test_priorities_are_bands():
    assert [band_of(name) for name in ("high", "medium", "low")] == [Band.HIGH, Band.MEDIUM, Band.LOW]
    assert sorted(Band) == [Band.HIGH, Band.MEDIUM, Band.LOW]


@pytest.mark.parametrize("name", ["", "High", "urgent", 0, None, ["high"]])
def test_other_priorities_are_refused(name):
    with pytest.raises(OptionInvalid, match="high, medium or low"):
        band_of(name)


def test_a_band_is_lowered_by_one_and_never_below_low():
    assert [lowered(band) for band in Band] == [Band.MEDIUM, Band.LOW, Band.LOW]
