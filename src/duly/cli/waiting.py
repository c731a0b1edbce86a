"""Waiting for one task: what `duly submit --wait` shows, prints and ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from duly.app import App
from duly.cli import troubles
from duly.cli.exits import Exit, code_of
from duly.cli.following import Following, News, goes_on, has_screen, on_screen, put_events, say_if_alone, say_plain
from duly.cli.streams import put_json, put_now, say
from duly.errors import TaskError, WaitTimeout
from duly.handle import Handle


def wait_for(app: App, handle: Handle[Any], seconds: float | None, *, watch: bool, shape: str) -> Exit:
    """Wait for a task's end, put its result on stdout, and return the exit code that says how it ended."""
    try:
        say_if_alone(app)
        if watch:
            _watch(app, handle.id, seconds, as_lines=shape == "jsonl")
            seconds = None  # it has ended
        return _told(handle, seconds, shape)
    except WaitTimeout as error:
        error.add_note(goes_on(app, handle.id))
        raise
    except KeyboardInterrupt:
        say(goes_on(app, handle.id), always=True)
        raise


def _watch(app: App, task_id: str, seconds: float | None, *, as_lines: bool) -> None:
    following = Following(app, [task_id])
    with _shown(following, as_lines=as_lines) as show:
        for news in following.news(seconds):
            show(news)


@contextmanager
def _shown(following: Following, *, as_lines: bool) -> Iterator[Callable[[list[News]], None]]:
    if as_lines:
        yield put_events
    elif not has_screen():
        yield say_plain
    else:
        with on_screen(following, events=True) as show:
            yield show


def _told(handle: Handle[Any], seconds: float | None, shape: str) -> Exit:
    error: TaskError | None = None
    value = None
    try:
        value = handle.result(timeout=seconds)
    except TaskError as raised:
        error, value = raised, raised.value
    if shape:
        told = ended_as_data(handle, value, error)
        put_json(told) if shape == "json" else put_now([told])
    elif error is None:
        put_json(value)
    if error is None:
        return Exit.OK
    troubles.tell_error(error)
    return code_of(error)


def ended_as_data(handle: Handle[Any], value: Any, error: TaskError | None) -> dict[str, Any]:
    """Return how a task ended as data."""
    return {
        "id": handle.id,
        "action": handle.action,
        "state": handle.state,
        "ok": error is None,
        "value": value,
        "error": None if error is None else troubles.document(error),
    }
