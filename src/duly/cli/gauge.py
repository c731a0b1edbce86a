"""Looking at a store again and again: in place on a terminal, one report after another elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import click

from duly.cli.outage import Outage
from duly.cli.streams import flush, put, put_now
from duly.cli.words import duration, moment

RESTS = 4
"""Each look is followed by a rest of so many times its length at least."""


class Gauged(Protocol):
    """What of a look tells how much goes through."""

    @property
    def submitted(self) -> int:
        """How many tasks were ever submitted."""

    @property
    def open(self) -> int:
        """How many have not ended."""

    @property
    def ready_since(self) -> datetime | None:
        """Since when the one is ready that has been for the longest time."""


L = TypeVar("L", bound=Gauged)


class Rates(NamedTuple):
    """Tasks per second since the last look; None at the first."""

    submitted: float | None
    ended: float | None


def rates(before: Gauged | None, now: Gauged, seconds: float) -> Rates:
    """Tell how many tasks came and went per second between two looks, whatever was removed meanwhile."""
    if before is None:
        return Rates(None, None)
    came = now.submitted - before.submitted
    return Rates(round(came / seconds, 1), round(max(0, came + before.open - now.open) / seconds, 1))


def watching(
    look: Callable[[], L],
    as_data: Callable[[L], dict[str, Any]],
    lines: Callable[[L], Iterable[str]],
    every: float,
    *,
    as_json: bool,
) -> None:
    """Look again and again, and show it, until interrupted."""
    before, at, outage = None, 0.0, Outage()
    with _shown(as_json=as_json) as show:
        while True:
            began = time.monotonic()
            now = outage.bridge(look)
            if now is None:
                time.sleep(every)
                continue
            told = rates(before, now, began - at)
            if as_json:
                put_now(
                    [{"at": datetime.now(UTC), **_rates_as_data(told), "ready_since": now.ready_since, **as_data(now)}]
                )
            else:
                show([_headline(told, now), *lines(now)])
            before, at = now, began
            time.sleep(max(every, RESTS * (time.monotonic() - began)))


def _rates_as_data(told: Rates) -> dict[str, Any]:
    return {"submitted_per_second": told.submitted, "ended_per_second": told.ended}


def _headline(told: Rates, now: Gauged) -> str:
    speed = f"{told.submitted:,} submitted/s, {told.ended:,} ended/s" if told.submitted is not None else "counting"
    age = (datetime.now(UTC) - now.ready_since).total_seconds() if now.ready_since is not None else None
    oldest = "none is ready" if age is None else f"the oldest that is ready waits for {duration(age)}"
    return f"{moment(datetime.now(UTC))}  {speed}; {oldest}"


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[list[str]], None]]:
    try:
        if as_json or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
            yield _put
        else:
            with _in_place() as show:
                yield show
    except KeyboardInterrupt:
        return  # which is how it ends


def _put(report: list[str]) -> None:
    for line in [*report, ""]:
        put(line)
    flush()


@contextmanager
def _in_place() -> Iterator[Callable[[list[str]], None]]:
    from rich.console import Console  # noqa: PLC0415 - 50 ms that one look need not spend
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    ctx = click.get_current_context(silent=True)
    colorless = ctx is not None and ctx.color is False
    with Live(console=Console(highlight=False, no_color=colorless or None), auto_refresh=False) as live:
        yield lambda report: live.update(Text.from_ansi("\n".join(report)), refresh=True)
