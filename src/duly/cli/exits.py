"""Exit codes, and how an error is told: one line that says what, what is known, and the cure where there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NoReturn

import click

from duly.cli.streams import Unwritable, plain, say
from duly.errors import (
    DulyError,
    HandlerUnavailable,
    InvalidInput,
    NotAvailable,
    StoreError,
    TargetNotFound,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskNotFound,
    WaitTimeout,
    WorkerMisplaced,
)


class Exit(IntEnum):
    """What the exit code of a command says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    CANCELLED = 5
    EXPIRED = 6
    WAITED = 124
    INTERRUPTED = 130


_CODES: tuple[tuple[tuple[type[DulyError], ...], Exit], ...] = (
    ((TaskCancelled,), Exit.CANCELLED),
    ((TaskExpired,), Exit.EXPIRED),
    ((TaskError,), Exit.FAILED),
    ((TaskNotFound, TargetNotFound), Exit.NOT_FOUND),
    ((StoreError,), Exit.UNREACHABLE),
    ((WaitTimeout,), Exit.WAITED),
    ((InvalidInput, NotAvailable, WorkerMisplaced, HandlerUnavailable), Exit.USAGE),
)


def code_of(error: DulyError) -> Exit:
    """Return the exit code for an error of duly's."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), Exit.FAILED)


class End:
    """How a command ends."""

    code: int = Exit.OK


@contextmanager
def told() -> Iterator[End]:
    """Turn what is to be expected into a message on stderr and an exit code; what is not keeps its traceback."""
    end = End()
    try:
        yield end
    except (click.ClickException, DulyError) as error:
        end.code = tell_of(error)
    except (KeyboardInterrupt, click.Abort):
        end.code = Exit.INTERRUPTED
        say("interrupted")
    except BrokenPipeError:
        let_go_of_stdout()  # whoever reads has seen enough
    except Unwritable as error:
        let_go_of_stdout()
        end.code = Exit.FAILED
        tell(str(error))


def tell_of(error: click.ClickException | DulyError) -> int:
    """Say what is wrong, and what can be done; return the exit code for it."""
    if isinstance(error, click.ClickException):
        tell(error.format_message(), _cure(error))
        return error.exit_code
    tell(str(error), *getattr(error, "__notes__", ()))
    return code_of(error)


def tell(message: str, *more: str) -> None:
    """Say on stderr that something is wrong, then what is known of it."""
    say(click.style("error:", fg="red", bold=True) + " " + plain(message), always=True)
    for text in more:
        if text:
            say(plain(text.rstrip()), always=True)


class Refused(click.ClickException):
    """What was asked for cannot be meant; `cure` says what could be."""

    exit_code = Exit.USAGE

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure


def refuse(message: str, cure: str = "") -> NoReturn:
    """End with wrong usage."""
    raise Refused(message, cure)


def _cure(error: click.ClickException) -> str:
    if isinstance(error, Refused):
        return error.cure
    if isinstance(error, click.UsageError):
        return f"try: {error.ctx.command_path if error.ctx is not None else 'duly'} --help"
    return ""


def let_go_of_stdout() -> None:
    """Let what is still to be written go nowhere, so that Python's own last flush does not complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
