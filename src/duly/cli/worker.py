"""`duly worker`."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from contextlib import suppress
from importlib.metadata import version
from types import FrameType
from typing import NoReturn

import click

from duly.app import App
from duly.cli import exits
from duly.cli.init import give_way
from duly.cli.names import nearest
from duly.cli.places import app_option, check_store, find_app
from duly.cli.reload import run_reloading
from duly.cli.streams import is_quiet, say, talk_options
from duly.cli.words import count
from duly.config import MOST_RUNNERS
from duly.core.action import check_queue
from duly.engine.console import Unblocking

INLINE = """\
warning: --inline runs handlers in this very process, one at a time, so that a debugger can stop in them. Of what duly
promises this gives up: P3 (a handler can block the worker, or end it), P4 and P5 (no limit of time or memory holds) and
P6 (a crash is the worker's own). Nothing cleans up behind a task, its output is not kept, and what a handler waits for
needs another worker. For development alone."""


@click.command(
    "worker",
    epilog="""\b
Examples:
  duly worker -a shop:app
  duly worker -a shop:app --concurrency 8 --queue default --queue mail
  duly worker -a shop:app --reload           while you write it
  duly worker -a shop:app --inline           while you look for a mistake in it
\b
Exit codes: 0 told to stop, 2 a handler cannot be imported, or wrong usage, 4 the store cannot be used.
""",
)
@app_option
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, MOST_RUNNERS), metavar="N", help="Runners; else one for each core."
)
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="A queue to serve; may be repeated. Else all.")
@click.option("--reload", is_flag=True, help="Begin anew when a source file of the App has changed.")
@click.option("--inline", is_flag=True, help="Run handlers in this very process, for a debugger.")
@click.option("--url", hidden=True, expose_value=False, callback=lambda *given: _refuse_url(given[-1]))
@talk_options
def command(app_name: str | None, concurrency: int | None, queues: tuple[str, ...], reload: bool, inline: bool) -> None:
    """Work on the tasks of an App until told to stop.

    Each task runs in a process of its own, several at a time. Any number of workers may share a store. SIGTERM or
    Ctrl-C drains: nothing more is begun, what runs may end (`drain_timeout`, 30 s unless set); a second one hurries.

    With --reload, what runs may end the same way, then the command begins anew. Watched are the Python files beside
    those that the App imports, and in the current directory. What cannot be imported is said, and the next change
    awaited.

    With --inline `breakpoint()` in a handler works on this terminal. No limit holds then, nothing is isolated.
    """
    for queue in queues:
        check_queue(queue)
    if inline and (reload or concurrency is not None):
        exits.refuse("--inline runs one task at a time, and not anew: leave out --reload and --concurrency")

    give_way(_leave)

    def make_app() -> App:
        app = find_app(app_name)
        check_store(app, new=True)
        _log_to_stderr()
        _introduce(app, 1 if inline else concurrency, queues)
        return app

    if inline:
        say(INLINE, always=True)
        make_app().run_inline(queues=queues or None)
        return
    _wait_for_no_reader()
    if reload:
        run_reloading(lambda: make_app().make_worker(concurrency, queues or None))
    else:
        make_app().run_worker(concurrency, queues=queues or None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all has ended well, and so is this process to end


def _refuse_url(url: str | None) -> None:
    if url is not None:
        exits.refuse("a worker's store is its App's", "leave out the App's own url, and set DULY_URL for it")


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Told to stop before anything was begun, or when all has ended: at once, whatever the App's module would do."""
    os._exit(0)


def _wait_for_no_reader() -> None:
    """Let work go on though nobody reads what is said of it, also by loggers that the App's module sets up."""
    stderr = sys.stderr
    with suppress(io.UnsupportedOperation):  # of a stream in memory that was put in its place
        if not isinstance(stderr, io.TextIOWrapper) or stderr.fileno() != 2:
            return
        raw = io.BufferedWriter(Unblocking(2))
        sys.stderr = io.TextIOWrapper(raw, encoding=stderr.encoding, errors=stderr.errors, line_buffering=True)


def _log_to_stderr() -> None:
    """Log duly's own doings, unless the App's module has set up logging by itself."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("duly").setLevel(logging.WARNING if is_quiet() else logging.INFO)


def _introduce(app: App, concurrency: int | None, queues: tuple[str, ...]) -> None:
    runners = concurrency or app.config.concurrency or len(os.sched_getaffinity(0))
    where = f"queues {', '.join(queues)}" if queues else "all queues"
    say(f"duly {version('duly')}: {count(runners, 'runner')}, {where}, store {app.place}")
    served = {action.spec.queue for action in app.actions}
    for queue in queues:
        if queue not in served:
            near = nearest(queue, served)
            meant = f"; did you mean {near}?" if near else ""
            say(f"warning: no action of this App has the queue {queue}, only tasks submitted with it are done{meant}")
    for action in app.actions:
        versioned = f" v{action.version}" if action.version != 1 else ""
        say(
            f"  {action.name}{versioned}" + (f"  (queue {action.spec.queue})" if action.spec.queue != "default" else "")
        )
