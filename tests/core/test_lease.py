"""A node takes its lease for over before any store can, however late its words and their answers come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.lease import LEAST_MARGIN, beat, left

SECONDS = st.floats(0, 1e6)
LEASES = st.floats(2, 3600)


@given(lease=LEASES, sent_at=SECONDS, on_its_way=SECONDS, after=st.floats(0, 4000))
def test_whom_the_store_takes_for_dead_has_stopped_long_enough_before(
    lease: float, sent_at: float, on_its_way: float, after: float
) -> None:
    heard_at = sent_at + on_its_way
    now = heard_at + after
    if now - heard_at > lease:  # as the store counts
        assert left(lease, sent_at, now) <= -LEAST_MARGIN + 1e-3


@given(lease=LEASES, sent_at=SECONDS)
def test_who_has_just_spoken_may_go_on(lease: float, sent_at: float) -> None:
    assert 0 < left(lease, sent_at, sent_at) < lease


@given(lease=LEASES, poll=st.floats(0.01, 60))
def test_who_looks_seldom_is_heard_often_enough_all_the_same(lease: float, poll: float) -> None:
    often = beat(lease, poll)
    assert often <= poll
    assert 4 * often <= left(lease, 0.0, 0.0)


@pytest.mark.parametrize(("lease", "stops_after"), [(30.0, 25.0), (6.0, 5.0), (2.0, 1.0), (3600.0, 3000.0)])
def test_the_margin_is_a_sixth_and_a_second_at_least(lease: float, stops_after: float) -> None:
    assert left(lease, 100.0, 100.0 + stops_after) == pytest.approx(0.0)
