"""The two streams: data on stdout, talk on stderr; in colour where people look."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUIET = "duly.quiet"


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
    """Say a line to the person, on stderr; with `--quiet` only if it is said `always`."""
    if always or not is_quiet():
        click.echo(text, err=True)


def put(text: str = "") -> None:
    """Put a line of data on stdout."""
    click.echo(text)


def put_json(value: Any) -> None:
    """Put one JSON document on stdout: indented for people, in one line for programs."""
    data = msgspec.json.encode(value)
    put(msgspec.json.format(data, indent=2).decode() if sys.stdout.isatty() else data.decode())


def put_lines(values: Iterable[Any]) -> None:
    """Put a stream of JSON documents on stdout, one a line."""
    for value in values:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def put_array(values: Iterable[Any]) -> None:
    """Put one JSON array on stdout, however long, as its values come."""
    before = "["
    for value in values:
        sys.stdout.write(f"{before}\n{msgspec.json.encode(value).decode()}")
        before = ","
    put("[]" if before == "[" else "\n]")


def plain(text: str) -> str:
    r"""Make text from elsewhere fit for a terminal: what would steer one is shown as an escape.

    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def console(*, err: bool = False) -> Console:
    """Return a console of rich's for one of the streams, with colours as they are wanted."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms that most commands need not spend

    ctx = click.get_current_context(silent=True)
    color = ctx.color if ctx is not None else None
    return Console(
        stderr=err,
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
