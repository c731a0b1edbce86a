"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from duly.core import units


class FakeClock:
    """A store's clock that stands still until it is moved; called, it tells the microseconds since 1970.

    For stores and for what decides by time, never beside real workers: their tasks run in real time.

    >>> clock = FakeClock("2030-01-01T00:00Z")
    >>> clock.advance("1h")
    >>> clock.now
    datetime.datetime(2030, 1, 1, 1, 0, tzinfo=datetime.timezone.utc)
    """

    def __init__(self, start: units.Moment = "2030-01-01T00:00Z") -> None:
        self._now = units.moment(start, datetime.now(UTC), "start")

    def __call__(self) -> int:
        """Tell the time, in microseconds since 1970."""
        return self._now

    @property
    def now(self) -> datetime:
        """The time it shows, aware, in UTC."""
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self._now)

    def advance(self, by: units.Seconds) -> None:
        """Move it on by a length of time: seconds, a timedelta or text like "1h30m"."""
        self._now += round(units.seconds(by, "by") * 1_000_000)
