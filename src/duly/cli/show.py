"""`duly show`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import msgspec

from duly.app import App
from duly.cli import completing, troubles
from duly.cli.places import app_option, find_store, find_task, url_option
from duly.cli.streams import plain, put, put_json, put_lines, styled, talk_options
from duly.cli.words import ago, count, duration, json_text, moment
from duly.core.endings import exception_of
from duly.core.order import Band
from duly.core.task import ENDED, WAITING, Ending, State, shown
from duly.errors import TaskError
from duly.handle import ending_of
from duly.history import Event, when
from duly.listing import paused_since
from duly.ports import TaskRow

MOST_LINES = 20
"""Lines of what an attempt printed that are shown to people; --json has all that is kept."""

MOST_TEXT = 2000
"""Characters of a payload or result that are shown to people; --json has all."""

MOST_TOLD = 100


@click.command(
    "show",
    epilog="""\b
Examples:
  duly show 0198a3c1-7b2e-7c44-9d1f-5b0e8c2a6f13
  duly show 5b0e8c2a6f13                     the last group of an id will do
  duly show 5b0e8c2a6f13 --json | jq .value
""",
)
@click.argument("task_id", metavar="ID", shell_complete=completing.tasks())
@app_option
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all events.")
@click.option("--jsonl", "as_lines", is_flag=True, help="Print the events, a JSON object a line.")
@talk_options
def command(task_id: str, app_name: str | None, url: str | None, as_json: bool, as_lines: bool) -> None:
    """Show all that is known of one task: state, payload, result or error, and its timeline.

    ID may be a part of 8 or more characters from the front or the end of the id, if it says which of the newest tasks
    is meant. Times are local. Needs no App, only a store.
    """
    app = find_store(app_name, url)
    row, events = app.look(find_task(app, task_id))
    if as_lines:
        put_lines(event._asdict() for event in events)
    elif as_json:
        put_json(as_data(row, events, _paused_since(app, row)))
    else:
        _show(row, events, _paused_since(app, row))


def _paused_since(app: App, row: TaskRow) -> datetime | None:
    return paused_since(row.queue, row.action, app.paused()) if row.state in WAITING else None


def as_data(row: TaskRow, events: list[Event], paused: datetime | None) -> dict[str, Any]:
    """Return all that is known of a task as data."""
    error = error_of(row)
    return {
        "id": row.id,
        "action": row.action,
        "version": row.version,
        "queue": row.queue,
        "state": shown(row.state, row.verdict),
        "cause": row.cause,
        "reason": row.reason,
        "priority": Band(row.band).name.lower(),
        "attempts": row.attempt,
        "deaths": row.deaths,
        "losses": row.losses,
        "submitted_at": when(row.submitted),
        "run_at": _when(row.run_at),
        "started_at": _when(row.started_at),
        "ended_at": _when(row.ended_at),
        "paused_since": paused,
        "origin": row.origin,
        "options": _json(row.options) or {},
        "payload": _json(row.payload),
        "info": _json(row.info) or {},
        "value": _json(row.value) if error is None else error.value,
        "error": None if error is None else troubles.document(error),
        "events": [event._asdict() for event in events],
    }


def error_of(row: TaskRow) -> TaskError | None:
    """Return why a task did not succeed, or, while it is to be tried again, its last attempt did not."""
    ending = ending_of(row)
    if row.state in ENDED:
        if row.state == State.SUCCEEDED:
            return None
        return exception_of(ending, row.cause or "", reason=row.reason, task_id=row.id, attempts=row.attempt)
    return None if ending is None else exception_of(ending, ending.kind, task_id=row.id, attempts=row.attempt)


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _when(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else when(microseconds)


# for people --------------------------------------------------------------------------------------------------------


def _show(row: TaskRow, events: list[Event], paused: datetime | None) -> None:
    put(click.style(row.action, bold=True) + (f" v{row.version}" if row.version != 1 else "") + f"  {row.id}")
    for name, text in _facts(row, paused):
        put(f"  {click.style(name.ljust(9), dim=True)}  {text}")
    error = error_of(row)
    if error is not None:
        last = "" if row.state in ENDED else "last attempt: "
        put(f"  {click.style('error'.ljust(9), dim=True)}  {last}{click.style(plain(str(error)), fg='red')}")
        _put_block(troubles.traceback_of(error))
    printed = _printed(events).splitlines()
    if printed:
        put(
            f"  {click.style('printed', dim=True)}"
            + (f"    the last of {count(len(printed), 'line')}" if printed[MOST_LINES:] else "")
        )
        _put_block("\n".join(printed[-MOST_LINES:]))
    put()
    for line in _timeline(events):
        put(line)


def _printed(events: list[Event]) -> str:
    """What the last attempt printed that did not succeed, as far as it was kept."""
    ends = [event.data for event in events if event.kind in ("retry", "fail", "verdict")]
    return str(ends[-1].get("output", "")) if ends and isinstance(ends[-1], dict) else ""


def _facts(row: TaskRow, paused: datetime | None) -> Iterator[tuple[str, str]]:
    now = datetime.now(UTC)
    state = shown(row.state, row.verdict)
    yield "state", styled(state, state) + _why(row)
    yield "queue", f"{row.queue}, {Band(row.band).name.lower()} priority"
    if paused is not None:
        yield "paused", f"its queue or action is, since {moment(paused)}, {ago(paused, now)}"
    if row.attempt:
        deaths = f", {count(row.deaths, 'death')}" if row.deaths else ""
        losses = f", {count(row.losses, 'node')} lost" if row.losses else ""
        yield "attempts", f"{row.attempt}{deaths}{losses}"
    submitted = when(row.submitted)
    yield (
        "submitted",
        f"{moment(submitted)}, {ago(submitted, now)}" + (f", by {plain(row.origin)}" if row.origin else ""),
    )
    if row.run_at is not None and row.state == State.SCHEDULED:
        yield "runs", f"{moment(when(row.run_at))}, {ago(when(row.run_at), now)}"
    if row.started_at is not None:
        yield "started", f"{moment(when(row.started_at))}, after {_between(row.submitted, row.started_at)}"
    if row.ended_at is not None:
        took = f", after {_between(row.started_at, row.ended_at)}" if row.started_at is not None else ""
        yield "ended", moment(when(row.ended_at)) + took
    if row.options:
        yield "options", json_text(_json(row.options))
    yield "payload", json_text(_json(row.payload), MOST_TEXT)
    if row.info:
        yield "info", json_text(_json(row.info), MOST_TEXT)
    if row.state == State.SUCCEEDED:
        yield "result", json_text(_json(row.value), MOST_TEXT)


def _why(row: TaskRow) -> str:
    reason = f'"{plain(row.reason)}"' if row.reason else ""
    if row.cause in (None, "cancel"):
        return f": {reason}" if reason else ""
    return f": {row.cause}" + (f" {reason}" if reason else "")


def _between(start: int, end: int) -> str:
    return duration((end - start) / 1e6)


def _put_block(text: str) -> None:
    for line in plain(text).splitlines():
        put(f"    {line}")


def _timeline(events: list[Event]) -> Iterator[str]:
    """Lines of moment, time since the event before, kind, and what is told."""
    before = events[0].at
    for event in events:
        since = f"+{duration((event.at - before).total_seconds())}" if event.number > 1 else ""
        at = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
        attempt = str(event.attempt) if event.attempt else ""
        line = f"  {click.style(at, dim=True)}  {since:>10}  {attempt:>2}  {event.kind.ljust(9)}  {told(event)}"
        yield line.rstrip()
        before = event.at


def told(event: Event) -> str:
    """Return what an event tells, in one line."""
    data = event.data
    if not isinstance(data, dict):
        return "" if data is None else json_text(data, MOST_TOLD)
    if event.kind in ("retry", "fail", "verdict") and "kind" in data:
        return _told_ending(data, event.at)
    if event.kind == "snooze" and isinstance(data.get("until"), int):
        return f"until {moment(when(data['until']))}"
    if event.kind == "init":
        return f"by {plain(str(data.get('origin', '')))}"
    return json_text(data, MOST_TOLD)


def _told_ending(data: dict[str, Any], at: datetime) -> str:
    """How an attempt ended, and when the next is due."""
    ending = msgspec.convert({name: data[name] for name in Ending.__struct_fields__ if name in data}, Ending)
    text = plain(str(exception_of(ending, data.get("cause") or ending.kind)).splitlines()[0])
    if isinstance(data.get("run_at"), int):
        wait = when(data["run_at"]) - at
        text += f"; again in {duration(max(wait, timedelta()).total_seconds())}"
    return text
