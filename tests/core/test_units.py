import math
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duly.core.units import moment, seconds, size
from duly.errors import OptionInvalid

UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SIZES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


# lengths of time


@given(st.floats(0, allow_infinity=False))
def test_a_number_is_seconds(number):
    assert seconds(number) == number


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_timedelta_is_its_seconds(length):
    assert seconds(length) == length.total_seconds()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_parts_with_units_add_up(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert math.isclose(seconds(text), sum(number * UNITS[unit] for number, unit in parts))


@pytest.mark.parametrize(
    ("text", "length"),
    [("90", 90), ("1.5", 1.5), (" 2s ", 2), ("1.5h", 5400), ("1h30m", 5400), ("7d", 604_800), ("500ms", 0.5), ("0", 0)],
)
def test_text_is_read_as_people_write_it(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize(
    "value",
    [
        "", "s", "-1", "-1s", "1x", "1 s", "1h 30m", "1,5s", "1e3", "inf", "nan", ".5", "5.", "9" * 400,
        "9" * 400 + "w", -1, -0.1, math.nan, math.inf, -math.inf, 10**400, True, None, [], timedelta(seconds=-1), 1j,
    ],
)  # fmt: skip
def test_what_is_no_length_of_time_is_refused_by_name(value):
    with pytest.raises(OptionInvalid, match="bad grace"):
        seconds(value, "grace")


@given(st.one_of(st.text(), st.text("0123456789.usmhdw"), st.floats(), st.integers()))
def test_a_length_is_never_negative_nor_endless(value):
    try:
        length = seconds(value)
    except OptionInvalid:
        return
    assert 0 <= length < math.inf


# sizes


@given(st.integers(0, 2**20), st.sampled_from(sorted(SIZES)), st.sampled_from([str, str.lower, str.upper]))
def test_a_size_is_read_with_its_unit_in_any_case(number, unit, spelled):
    assert size(spelled(f"{number}{unit}")) == number * SIZES[unit]
    assert size(f" {number} {unit}") == number * SIZES[unit]


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_bytes(number):
    assert size(number) == number


def test_a_size_may_have_a_fraction():
    assert (size("1.5GB"), size("0.5KiB"), size(2.0)) == (1_500_000_000, 512, 2)


@pytest.mark.parametrize(
    "value",
    ["", "MiB", "-1", "1 XB", "1e3", "1KiB2", "nan", "9" * 400, -1, 1.5, 2**63, math.nan, math.inf, True, None, b"1"],
)
def test_what_is_no_size_is_refused_by_name(value):
    with pytest.raises(OptionInvalid, match="bad memory"):
        size(value, "memory")


# points in time


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones))  # noqa: DTZ001 - zones adds the zone
def test_a_moment_is_the_same_in_every_zone_and_as_text(at):
    assert moment(at, NOW) == moment(at.isoformat(), NOW) == microseconds(at)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - naive on purpose
def test_a_naive_time_is_local(at):
    assert moment(at, NOW) == moment(at.isoformat(), NOW) == microseconds(at.astimezone())


@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)))
def test_a_date_is_its_local_midnight(day):
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local on purpose
    assert moment(day, NOW) == moment(day.isoformat(), NOW) == microseconds(midnight.astimezone())


@given(st.integers(0, 10**9))
@example(286_709_010)  # 2867-09-01 to a careless reader
def test_a_length_is_counted_from_now(length):
    at = microseconds(NOW) + length * 1_000_000
    assert moment(timedelta(seconds=length), NOW) == moment(f"{length}s", NOW) == at
    assert moment(length // 4, NOW) == moment(timedelta(seconds=length // 4), NOW)


def test_of_bare_numbers_only_eight_digits_are_a_date():
    assert moment("20260131", NOW) == moment("2026-01-31", NOW)
    for text in ("2601311", "202601311", "20260131.10"):
        assert moment(text, NOW) == moment(float(text), NOW)


@pytest.mark.parametrize("value", [NOW.timestamp(), 2026013110, "20260131110", -NOW.timestamp()])
def test_a_number_that_was_meant_as_a_moment_is_not_taken_for_a_length(value):
    with pytest.raises(OptionInvalid, match="a number is seconds from now"):
        moment(value, NOW)


@pytest.mark.parametrize(
    "value",
    [
        "", "tomorrow", "2026-13-01", "2026-01-32", "2026-01-01T25:00", "-5s",
        math.nan, math.inf, 1e18, timedelta.max, True, None, b"2026-01-01",
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    ],
)  # fmt: skip
def test_what_is_no_point_in_time_is_refused_by_name(value):
    with pytest.raises(OptionInvalid, match="bad run_at"):
        moment(value, NOW, "run_at")


@given(st.one_of(st.text(), st.floats(), st.integers(), st.timedeltas(), st.datetimes(), st.dates()))
def test_a_point_in_time_is_a_number_or_refused(value):
    with suppress(OptionInvalid):
        assert isinstance(moment(value, NOW), int)
