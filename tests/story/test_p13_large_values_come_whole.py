"""P13: data is JSON, whole: also where it is as large as may be, on both ways through a worker."""

from __future__ import annotations

import pytest

import duly
from tests.place import ON_BOTH, ON_BOTH_IN_SOAK

MIB = 1024 * 1024


@pytest.fixture
def roomy(place, monkeypatch):
    """The place, where payloads and results may have 64 MiB."""
    plain = place.environment()
    monkeypatch.setattr(place, "environment", lambda: {**plain, "DULY_MAX_PAYLOAD": "64MiB"})
    place.start()
    with duly.App(place.url, max_payload="64MiB") as app:
        yield app


@ON_BOTH_IN_SOAK
@pytest.mark.parametrize(("unit", "times"), [("x", 64 * MIB - 50), ("☂ 1\n", 3 * MIB), ('"\\', 4 * MIB)])
def test_what_is_as_large_as_may_be_comes_back_as_it_was(roomy, unit, times):
    whole = unit * times
    handle = roomy.submit("shop:echo", whole)
    assert handle.result(timeout=60) == whole
    assert [task.state for task in roomy.tasks()] == ["succeeded"]


@ON_BOTH
def test_what_is_larger_is_refused_before_it_is_stored(roomy):
    with pytest.raises(duly.PayloadInvalid, match="more than"):
        roomy.submit("shop:echo", "x" * 64 * MIB)
    assert list(roomy.tasks()) == []


@ON_BOTH
def test_many_large_values_at_once_are_told_apart(place):
    wholes = [str(number) * 200_000 for number in range(10, 50)]
    handles = place.app.submit_many(place.app.passport("shop:echo", whole) for whole in wholes)
    place.start("--concurrency", "2")
    assert [handle.result(timeout=60) for handle in handles] == wholes
