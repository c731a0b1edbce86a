"""The two streams: data on stdout, talk on stderr; in colour where people look."""

from __future__ import annotations

import io
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUIET = "duly.quiet"

PATIENCE = 1.0
"""Seconds that a stderr which takes nothing more is waited for."""

_patience = PATIENCE


class Unwritable(Exception):
    """Stdout cannot be written, and not since its reader has seen enough: the disk is full, say."""


def make_ready() -> None:
    """Stand in for standard streams that are closed, and have text written that their encoding cannot express.

    A descriptor that is free would be taken by the next file that is opened, and what is printed would go there.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = _ready(sys.stdout)
    sys.stderr = _ready(sys.stderr)


def _ready(stream: IO[str] | None) -> Any:
    if stream is None:
        return open(os.devnull, "w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def talk_options(command: F) -> F:
    """Add `--quiet` and `--color`, which every command has; they work through the context."""
    color = click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        expose_value=False,
        is_eager=True,
        callback=_set_color,
        help="Colours: auto (on a terminal, unless NO_COLOR is set), always or never.",
    )
    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, is_eager=True, callback=_set_quiet, help="Say only errors."
    )
    return quiet(color(command))


def _set_color(ctx: click.Context, _: click.Parameter, value: str) -> None:
    default = False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
    color = {"always": True, "never": False}.get(value, default)
    ctx.color = ctx.find_root().color = color


def _set_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.find_root().meta[_QUIET] = value


def is_quiet() -> bool:
    """Whether only errors are to be said."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.find_root().meta.get(_QUIET))


def say(text: str = "", *, always: bool = False) -> None:
    """Say something to the person, on stderr; with `--quiet` only if it is said `always`.

    Where stderr is a pipe that nobody empties it goes unsaid after a second: talk must not hold up what matters.
    """
    if not always and is_quiet():
        return
    for line in text.split("\n"):
        if not _takes_talk():
            return
        click.echo(line, err=True)


def _takes_talk() -> bool:
    """Whether stderr takes a line without being waited for; it is waited for once."""
    global _patience  # noqa: PLW0603 - there is one stderr
    try:
        ready = bool(select.select([], [sys.stderr.fileno()], [], _patience)[1])
    except (OSError, ValueError):  # it is no file, or closed
        return True
    _patience = PATIENCE if ready else 0.0
    return ready


def put(text: str = "") -> None:
    """Put a line of data on stdout."""
    with _writing():
        click.echo(text)


def put_json(value: Any) -> None:
    """Put one JSON document on stdout: indented for people, in one line for programs."""
    text = _json(value)
    put(msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text)


def put_lines(values: Iterable[Any]) -> None:
    """Put a stream of JSON documents on stdout, one a line."""
    for value in values:
        _write(_json(value) + "\n")


def put_now(values: Iterable[Any]) -> None:
    """Put JSON documents on stdout, one a line, for somebody who waits for them."""
    put_lines(values)
    flush()


def put_array(values: Iterable[Any]) -> None:
    """Put one JSON array on stdout, however long, as its values come."""
    before = "["
    for value in values:
        _write(f"{before}\n{_json(value)}")
        before = ","
    put("[]" if before == "[" else "\n]")


def flush() -> None:
    """Have all that was put written."""
    with _writing():
        sys.stdout.flush()


def _write(text: str) -> None:
    with _writing():
        sys.stdout.write(text)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(f"stdout cannot be written: {error.strerror}") from None


def _json(value: Any) -> str:
    """Encode a value so that any encoding of stdout carries it."""
    text = msgspec.json.encode(value).decode()
    return text if sys.stdout.encoding.lower() == "utf-8" else _BEYOND_ASCII.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = match.group().encode("utf-16-be").hex()
    return "".join(f"\\u{code[place : place + 4]}" for place in range(0, len(code), 4))


def plain(text: str) -> str:
    r"""Make text from elsewhere fit for a terminal: what would steer one is shown as an escape.

    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def console() -> Console:
    """Return a console of rich's for stderr, with colours as they are wanted."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms that most commands need not spend

    ctx = click.get_current_context(silent=True)
    color = ctx.color if ctx is not None else None
    return Console(
        stderr=True,
        no_color=color is False or None,
        color_system="standard" if color else "auto",
        force_terminal=True if color else None,
        highlight=False,
    )


COLORS = {
    "running": "cyan",
    "succeeded": "green",
    "failed": "red",
    "cancelling": "yellow",
    "cancelled": "yellow",
    "expired": "yellow",
}
"""The colour of a state; those that wait have none."""


def styled(text: str, state: str) -> str:
    """Colour a text by a state."""
    return click.style(text, fg=COLORS[state]) if state in COLORS else text
