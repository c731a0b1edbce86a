"""`duly map`."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

import click
import msgspec

from duly.app import App
from duly.cli import completing, exits, items
from duly.cli.flight import Flight, Item
from duly.cli.following import say_if_alone
from duly.cli.options import refuse_undeclared, said, task_options
from duly.cli.places import app_option, check_store, find_app, find_store, url_option
from duly.cli.progress import Counted, counting
from duly.cli.show import error_of
from duly.cli.streams import plain, put_now, say, talk_options
from duly.cli.troubles import document
from duly.cli.words import count
from duly.config import MOST_RUNNERS
from duly.core.passport import Passport
from duly.core.task import shown
from duly.engine.desk import removed
from duly.errors import DulyError, InvalidInput, PayloadInvalid
from duly.ports import TaskRow

MOST = 1_000
MOST_TOLD = 10
"""Failures that are told by name."""


@click.command(
    "map",
    epilog="""\b
Examples:
  duly map -a shop:app code:check '"a.py"' '"b.py"'
  ls *.py | duly map -a shop:app code:check --text
  find . -name '*.py' -print0 | duly map -a shop:app code:check --text -0 --work
  jq -c '.orders[]' today.json | duly map -a shop:app order:bill --ordered > bills.jsonl
\b
Exit codes: 0 all succeeded, 1 some did not, 2 an item was refused, 4 the store cannot be used, 130 interrupted.
""",
)
@click.argument("action", shell_complete=completing.actions)
@click.argument("texts", metavar="[ITEM]...", nargs=-1)
@click.option("--text", is_flag=True, help="An item is a text as it is, not JSON.")
@click.option("-0", "--null", is_flag=True, help="Items on stdin end with a null byte, not with the line.")
@click.option("--ordered", is_flag=True, help="Print results in the order of the items, not as they come.")
@click.option(
    "--most", type=click.IntRange(1, 100_000), default=MOST, show_default=True, metavar="N",
    help="Tasks that are under way at a time.",
)  # fmt: skip
@click.option("--work", is_flag=True, help="Work on the action's queue here, too, until all have ended.")
@click.option("-c", "--concurrency", type=click.IntRange(1, MOST_RUNNERS), metavar="N", help="Runners, with --work.")
@task_options
@app_option
@url_option
@talk_options
def command(
    action: str,
    texts: tuple[str, ...],
    text: bool,
    null: bool,
    ordered: bool,
    most: int,
    work: bool,
    concurrency: int | None,
    elsewhere: bool,
    app_name: str | None,
    url: str | None,
    **options: Any,
) -> exits.Exit:
    """Submit a task for each ITEM, or for each line of stdin, and print their results as they end.

    An item is a JSON value, or with --text a text as it is. It becomes the payload: an object holds the handler's
    arguments by name, any other value is its only required one. Lines are read as they come and submitted while there
    is room, so a stream may be endless. Blank lines are left out, but for --text.

    Each result is a JSON object in a line: the number of its item, the item, the task's id and state, whether it is ok,
    its value, its error. If an item is refused nothing more is submitted. Ctrl-C, and a reader that has seen enough,
    cancel what has not ended; a second Ctrl-C leaves at once.
    """
    app = find_store(app_name, url, new=True) if elsewhere else find_app(app_name)
    if not elsewhere:
        refuse_undeclared(app, action)
    _refuse_misfits(app, work=work, concurrency=concurrency, url=url)
    store = app if url is None else App(url)
    check_store(store, new=True)

    given = said(options)

    def make(item: Item) -> Passport:
        return _passport(app, action, item, given, text=text)

    flight = Flight(store, make, most, ordered=ordered)
    batches, total = _batches(app, texts, make, end=b"\0" if null else b"\n", text=text)
    with _worker(app, action, concurrency, given) if work else nullcontext():
        if not work:
            say_if_alone(store)
        return _Map(store, flight, total).run(batches)


def _refuse_misfits(app: App, *, work: bool, concurrency: int | None, url: str | None) -> None:
    if concurrency is not None and not work:
        exits.refuse("--concurrency counts runners of this process: it goes with --work")
    if work and not app.actions:
        exits.refuse("--work needs an App whose actions can be worked on", "name it: -a module:attribute")
    if work and url is not None:
        exits.refuse("--work works on the App's own store: leave out --url")


def _passport(app: App, action: str, item: Item, given: dict[str, Any], *, text: bool) -> Passport:
    value = items.value_of(item, text=text)
    try:
        return app.passport(action, value, **given)
    except PayloadInvalid as error:
        refused = PayloadInvalid(f"item {item.number}: {error}")
        raise refused from None


def _batches(
    app: App, texts: tuple[str, ...], make: Callable[[Item], Passport], *, end: bytes, text: bool
) -> tuple[Iterable[list[Item]], int | None]:
    """Return the items, and how many there are if that is known."""
    if texts:
        named = items.named(texts)
        for item in named:
            make(item)  # what is refused is refused before anything is stored
        return [named], len(named)
    if sys.stdin.isatty():
        say("items are read from this terminal, one a line; Ctrl-D ends them")
    return items.read(sys.stdin.fileno(), end, app.most_payload(), blank=text), None


@contextmanager
def _worker(app: App, action: str, concurrency: int | None, given: dict[str, Any]) -> Iterator[None]:
    queue = given.get("queue") or next(known.spec.queue for known in app.actions if known.name == action)
    worker = app.make_worker(concurrency, [queue])
    worker.start()
    try:
        yield
    except BaseException:
        worker.stop(hurry=True)
        raise
    finally:
        worker.close()


class _Map:
    """One map: what came of it, as far as it got."""

    def __init__(self, store: App, flight: Flight, total: int | None) -> None:
        self._store = store
        self._flight = flight
        self._total = total
        self._states: Counter[str] = Counter()
        self._interrupts = 0
        self._unread = False
        self._given_up = False

    def run(self, batches: Iterable[list[Item]]) -> exits.Exit:
        """Submit all and put what becomes of them on stdout."""
        threading.Thread(target=self._flight.feed, args=(batches,), name="duly-feed", daemon=True).start()
        try:
            with self._counting_interrupts(), counting("tasks") as show:
                self._follow(show)
        except KeyboardInterrupt:
            left = count(self._flight.under_way, "task")
            say(f"{left} may go on: duly tasks --url {shlex.quote(self._store.place.url)} --state running", always=True)
            raise
        if self._interrupts:
            raise KeyboardInterrupt
        error = self._flight.error
        if error is not None:
            raise self._explained(error)
        return self._summed_up()

    def _follow(self, show: Callable[[Counted], None]) -> None:
        for ended in self._flight:
            self._put(ended)
            show(self._counted())
            if (self._interrupts or self._unread) and not self._given_up:
                self._give_up()

    def _put(self, ended: list[tuple[int, TaskRow]]) -> None:
        try:
            put_now(self._told(number, row) for number, row in ended)
        except BrokenPipeError:
            exits.let_go_of_stdout()
            self._unread = True

    def _give_up(self) -> None:
        """Cancel what has not ended."""
        self._given_up = True
        why = "interrupted" if self._interrupts else "nobody reads the results any more"
        cancelled = self._flight.close(why)
        say(
            f"{why}: {count(cancelled, 'task')} cancelled; Ctrl-C {'once more ' * bool(self._interrupts)}leaves at once"
        )

    @contextmanager
    def _counting_interrupts(self) -> Iterator[None]:
        """Note the first interrupt alone, so that no result is lost; by the second one leaves at once."""
        before = signal.getsignal(signal.SIGINT)
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts > 1 or self._given_up:
            raise KeyboardInterrupt

    def _counted(self) -> Counted:
        total = self._total if self._total is not None else self._flight.submitted if self._flight.fed else None
        done = sum(self._states.values())
        return Counted(done, done - self._states["succeeded"], total)

    def _told(self, number: int, row: TaskRow) -> dict[str, Any]:
        error = error_of(row) if row.seq else removed(row)
        state = shown(row.state, row.verdict)
        self._states[state] += 1
        if error is not None and not self._given_up and self._counted().bad <= MOST_TOLD:
            say(f"item {number}: {plain(str(error))}")
        return {
            "number": number,
            "item": msgspec.json.decode(row.payload),
            "id": row.id,
            "state": state,
            "ok": error is None,
            "value": msgspec.json.decode(row.value or "null") if error is None else getattr(error, "value", None),
            "error": None if error is None else document(error),
        }

    def _explained(self, error: BaseException) -> BaseException:
        submitted = count(self._flight.submitted, "task")
        if isinstance(error, InvalidInput):
            error.add_note(f"submitted before it, and ended: {submitted}; after it: none")
        elif isinstance(error, DulyError):
            error.add_note(f"submitted before that: {submitted}")
        return error

    def _summed_up(self) -> exits.Exit:
        done = sum(self._states.values())
        bad = {state: number for state, number in self._states.items() if state != "succeeded"}
        if not bad:
            say(f"all of {count(done, 'task')} succeeded" if done else "no items")
            return exits.Exit.OK
        told = ", ".join(f"{number:,} {state}" for state, number in sorted(bad.items()))
        say(f"{sum(bad.values()):,} of {count(done, 'task')} did not succeed: {told}", always=True)
        return exits.Exit.FAILED
