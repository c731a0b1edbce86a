"""What callers of an App do with tasks: submit, cancel, look, wait. Each verb is written once, for sync and async."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from duly.core.action import check_queue, parse_action
from duly.core.lifecycle import admit
from duly.core.order import Place, band_of, rank_terms
from duly.core.passport import Options, Passport
from duly.core.task import ENDED, State, shown
from duly.core.texts import check_name, check_text
from duly.engine.asking import Verb, Watch
from duly.errors import OptionInvalid, RetryRefused, StoreDamaged, TaskNotFound, WaitTimeout
from duly.ports import (
    UNKNOWN,
    CancelAsked,
    EventRow,
    Filter,
    Glance,
    Part,
    Pause,
    Paused,
    Request,
    Retried,
    Submission,
    TaskRow,
)

T = TypeVar("T")

After: TypeAlias = tuple[int, int] | None
"""The last task of a page, by what pages are in the order of, and its key."""

_ADMITTED: dict[int, str] = {state: shown(state, None) for state in State}

MOST_SUBMITS = 5_000
"""Tasks that are stored together: nobody else writes meanwhile, for some 15 ms."""

MOST_TEXT = 8 * 1024 * 1024
"""Characters of their payloads, of which the last one may bring more."""

PAGE = 200
NEVER = 1 << 62
"""The number of an event that no task has: who has seen that waits for the end alone."""

MOST_CHANGED = 1_000
"""Tasks that are cancelled or retried together, where many are: nobody else writes meanwhile."""

CancelAnswer = Literal["cancelled", "asked", "ended"]

_ONCE_MORE = "submit a new task to do it once more"
_REFUSED = {
    "ready": "is ready already, and runs as soon as a worker is free for it",
    "running": "runs: wait for its end, or cancel it",
    "cancelling": "is ending, and its cleanup comes first: wait for its end",
    "succeeded": f"has succeeded, and that is final; {_ONCE_MORE}",
    "cancelled": f"was cancelled, and that is final; {_ONCE_MORE}",
    "expired": f"has expired, and that is final; {_ONCE_MORE}",
}
"""Why a task in this state is not retried, and what can be done instead."""


class CancelPage(NamedTuple):
    """How many tasks were cancelled, which were asked to stop, and where to go on; None at the end."""

    cancelled: int
    asked: list[str]
    after: After


class RetryPage(NamedTuple):
    """How many tasks were retried and refused, and where to go on; None at the end."""

    retried: int
    refused: int
    after: After


class _Kind(NamedTuple):
    """What tasks of one action and the same options have in common; the delay is in microseconds."""

    options: Options
    action: str
    version: int
    terms: tuple[int, int, int, int, int, int, int | None, str | None]
    delay: int | None


class Desk:
    """The verbs of one App; remembers the lanes that it has seen."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str, int], int] = {}
        self._kind: _Kind | None = None
        self._pid = os.getpid()

    # submitting
    def submit(self, passports: Sequence[Passport], bell: str) -> Verb[dict[str, str]]:
        """Store tasks, all in one transaction; returns their states by id, also of those that were known before."""
        submissions = yield from self.prepared(passports, bell)
        reply = yield Request(submits=submissions)
        states = admitted(submissions)
        if "existing" in reply.submitted.values():
            known = [
                task_id for task_id, answer in reply.submitted.items() if answer == "existing" and task_id in states
            ]
            rows: list[TaskRow] = yield lambda store: store.find(known)
            states |= {row.id: shown(row.state, row.verdict) for row in rows}
        return states

    def prepared(self, passports: Sequence[Passport], bell: str) -> Verb[list[Submission]]:
        """Return what is to be stored of tasks, whose lanes are there from now on."""
        if self._pid != os.getpid():  # forked: a store in memory did not come along, and neither did its lanes
            self._lanes, self._kind, self._pid = {}, None, os.getpid()
        wanted = {lane_of(passport) for passport in passports}
        if not wanted <= self._lanes.keys():
            yield from self.know(wanted)
        return self._submissions(passports, bell)

    def know(self, lanes: Iterable[tuple[str, str, int]]) -> Verb[None]:
        """See to it that these lanes exist and are known: (queue, action, version)."""
        missing = [lane for lane in lanes if lane not in self._lanes]
        for queue, action, _ in missing:
            check_queue(queue)
            parse_action(action)
        if missing:
            for lane in (yield lambda store: store.lanes(missing)):
                self._lanes[lane.queue, lane.action, lane.version] = lane.number

    def submission(self, passport: Passport, bell: str) -> Submission:
        """What is to be stored of a task; raises `KeyError` if its lane is not known."""
        kind = self._kind_of(passport)
        return Submission(passport.id, *kind.terms, passport.payload_json, passport.origin, bell, kind.delay)

    def _kind_of(self, passport: Passport) -> _Kind:
        options, lane = passport.options, lane_of(passport)
        delay = None if options.delay is None else round(options.delay * 1e6)
        terms = (
            self._lanes[lane],
            admit(options),
            band_of(options.priority),
            *rank_terms(Place.FRONT if options.front else Place.BACK, due=options.run_at, delay=delay),
            options.run_at,
            _text(options),
        )
        return _Kind(options, passport.action, passport.version, terms, delay)

    def _submissions(self, passports: Sequence[Passport], bell: str) -> list[Submission]:
        """What is to be stored of tasks; mostly they are of the kind of the last one."""
        made: list[Submission] = []
        kind = self._kind
        for one in passports:
            check_name("task id", one.id, "a task's `id`, as text")  # a passport may be made by hand
            check_name("origin", one.origin, "text that says who made a task")
            if (
                kind is None
                or one.options is not kind.options
                or one.action != kind.action
                or one.version != kind.version
            ):
                kind = self._kind_of(one)
            made.append(Submission(one.id, *kind.terms, one.payload_json, one.origin, bell, kind.delay))
        self._kind = kind
        return made

    # looking
    def find(self, task_id: str) -> Verb[TaskRow]:
        """Read a task, or raise `TaskNotFound`."""
        rows: list[TaskRow] = yield lambda store: store.find([task_id])
        if not rows:
            raise unknown(task_id)
        if not rows[0].seq:
            raise removed(rows[0])
        return rows[0]

    def whole(self, row: TaskRow, *parts: Part) -> Verb[TaskRow]:
        """Fill in what was too large to be read along. Raises `StoreDamaged` if that is not there."""
        key = row.key
        for part in parts:
            if getattr(row, part) == "":
                text = yield from self.large(key, part)
                if not text:
                    yield from self.find(row.id)  # it may have been removed meanwhile
                    raise StoreDamaged(f"the {part} of task {row.id} is damaged or gone; restore a backup")
                row = row._replace(payload=text) if part == "payload" else row._replace(value=text)
        return row

    def large(self, key: int, part: Part) -> Verb[str]:
        """Read what was too large to be read along; "" if it is gone."""
        text: str = yield lambda store: store.large(key, part)
        return text

    def page(self, wanted: Filter, by: str, after: After, most: int) -> Verb[list[TaskRow]]:
        """Read a page of tasks."""
        rows: list[TaskRow] = yield lambda store: store.tasks(wanted, by, after, most)
        return rows

    def runs(self, task_id: str, after: int) -> Verb[list[EventRow]]:
        """Read the next events of a task."""
        rows: list[EventRow] = yield lambda store: store.events(task_id, after, PAGE)
        return rows

    def last_update(self, task_id: str) -> Verb[Any]:
        """Read the data of a task's latest update, or None."""
        update: Any = yield lambda store: store.last_update(task_id)
        return None if update is None else msgspec.json.decode(update).get("data")

    # waiting
    def wait(self, task_id: str, timeout: float | None) -> Verb[TaskRow]:
        """Wait until a task has ended, and read it; raises `WaitTimeout` and `TaskNotFound`."""
        yield from self.news(task_id, NEVER, timeout)
        return (yield from self.find(task_id))

    def news(self, task_id: str, after: int, timeout: float | None) -> Verb[Glance]:
        """Wait until a task has an event after a number or has ended; raises `WaitTimeout` and `TaskNotFound`."""
        glance: Glance | None = yield Watch({task_id: after}, timeout)
        if glance is None:  # the store may have been busy for all that time: what has happened is not denied
            row = yield from self.find(task_id)
            if row.seq > after or row.state in ENDED:
                return Glance(row.id, row.state, row.verdict, row.seq)
            raise WaitTimeout(f"task {task_id} had not ended after {timeout:g} s; it goes on")
        if glance.state == UNKNOWN:
            raise unknown(task_id)
        return glance

    def ended(self, ids: Sequence[str], patience: float) -> Verb[list[TaskRow]]:
        """Read those of some tasks that have ended, with their payloads and results; a page of them at most.

        If none has, wait for so many seconds at most until one has.
        """
        yield Watch(dict.fromkeys(ids, NEVER), patience)
        glances: list[Glance] = yield lambda store: store.glance(ids)
        ended = [glance.id for glance in glances if glance.state in ENDED]
        found: list[TaskRow] = yield lambda store: store.find(ended[:PAGE])
        for place, row in enumerate(found):
            found[place] = yield from self.whole(row, "payload", "value")
        return found

    def cancel_all(self, ids: Sequence[str], reason: str) -> Verb[None]:
        """Cancel those of some tasks that have not ended, all in one transaction."""
        yield Request(cancels=[CancelAsked(task_id, reason) for task_id in ids])

    def cancel(self, task_id: str, reason: str, wait: float | None) -> Verb[CancelAnswer]:
        """Cancel a task; with `wait`, until its cleanup is done, for so many seconds at most."""
        until = None if wait is None else time.monotonic() + wait
        check_reason(reason)
        answer = yield from self.cancel_now(task_id, reason)
        if answer == "asked" and until is not None:
            yield from self.stopped(task_id, max(0.0, until - time.monotonic()))
        return answer

    def stopped(self, task_id: str, timeout: float) -> Verb[None]:
        """Wait until a task that was asked to stop has ended; what was removed meanwhile has. Raises `WaitTimeout`."""
        with suppress(TaskNotFound):
            yield from self.news(task_id, NEVER, timeout)

    def cancel_now(self, task_id: str, reason: str) -> Verb[CancelAnswer]:
        """Cancel a task, and wait for nothing but the commit."""
        reply = yield Request(cancels=[CancelAsked(task_id, reason)])
        answer: str | None = reply.cancelled.get(task_id)
        if answer in (None, "missing"):
            raise unknown(task_id)
        return answer  # type: ignore[return-value]

    def cancel_page(self, wanted: Filter, after: After, most: int, reason: str) -> Verb[CancelPage]:
        """Cancel the next of those that fit and have no verdict; one that fits no longer by then is left alone."""
        rows = yield from self.page(wanted, "newest", after, most)
        if not rows:
            return CancelPage(0, [], None)
        reply = yield Request(cancels=[CancelAsked(row.id, reason, wanted.states) for row in rows])
        answers = {
            row.id: reply.cancelled[row.id] for row in rows if row.id in reply.cancelled
        }  # others' are there, too
        asked = [task_id for task_id, answer in answers.items() if answer == "asked"]
        return CancelPage(len(answers) - len(asked), asked, last_of(rows))

    # retrying
    def retry_page(self, wanted: Filter, after: After, most: int) -> Verb[RetryPage]:
        """Have the next of those that fit tried again."""
        rows = yield from self.page(wanted, "newest", after, most)
        if not rows:
            return RetryPage(0, 0, None)
        reply = yield Request(retries=[row.id for row in rows])
        answers = [reply.retried[row.id] for row in rows if row.id in reply.retried]  # others' are there, too
        retried = sum(answer.done for answer in answers)
        return RetryPage(retried, len(answers) - retried, last_of(rows))

    def retry(self, task_id: str) -> Verb[str]:
        """Have a task tried again; returns its state. Raises `RetryRefused` and `TaskNotFound`."""
        reply = yield Request(retries=[task_id])
        retried: Retried | None = reply.retried.get(task_id)
        if retried is None:
            yield from self.find(task_id)  # which tells why there is none
            raise unknown(task_id)
        if not retried.done:
            raise RetryRefused(f"task {task_id} {_REFUSED[retried.state]}", task_id=task_id, state=retried.state)
        return retried.state

    # pausing
    def pause(self, kind: Paused, name: str) -> Verb[bool]:
        """Have nothing of a queue or an action begun; whether that is news."""
        changed: bool = yield lambda store: store.pause(kind, name)
        return changed

    def resume(self, kind: Paused, name: str) -> Verb[bool]:
        """End a pause; whether there was one."""
        changed: bool = yield lambda store: store.resume(kind, name)
        return changed

    def pauses(self) -> Verb[list[Pause]]:
        """Read what is paused."""
        pauses: list[Pause] = yield lambda store: store.pauses()
        return pauses


def admitted(submissions: Iterable[Submission]) -> dict[str, str]:
    """The states of tasks that are new, by id."""
    return {submission.id: _ADMITTED[submission.state] for submission in submissions}


def unknown(task_id: str) -> TaskNotFound:
    """The error for an id that no task has."""
    error = TaskNotFound(f"there is no task {task_id}")
    error.add_note("what has ended is removed after a while, as the setting `keep` and that of its action say")
    return error


def removed(row: TaskRow) -> TaskNotFound:
    """The error for a task that was emptied."""
    ended = shown(row.state, None)
    return TaskNotFound(f"task {row.id} ended ({ended}), and was removed since, as `keep` of its action says")


def lane_of(passport: Passport) -> tuple[str, str, int]:
    """The lane of a task: (queue, action, version)."""
    return passport.options.queue, passport.action, passport.version


def check_reason(reason: Any) -> None:
    """Raise `OptionInvalid` for what not every store could keep as the reason of a cancel."""
    check_text("reason", reason, "text that is kept with the task")


def last_of(rows: Sequence[TaskRow]) -> After:
    """The place after which the next page of the newest begins; None at the end."""
    return (rows[-1].key, rows[-1].key) if rows else None


def batches(passports: Iterable[Passport]) -> Iterator[list[Passport]]:
    """Divide into lists to be stored together. What comes before an error is yielded before that is raised."""
    batch: list[Passport] = []
    before, size = 0, 0
    if not isinstance(passports, Iterable):
        raise OptionInvalid(_NO_PASSPORT.format(0, passports))
    try:
        for passport in passports:
            if not isinstance(passport, Passport):
                raise OptionInvalid(_NO_PASSPORT.format(before + len(batch), passport))
            batch.append(passport)
            size += len(passport.payload_json)
            if len(batch) == MOST_SUBMITS or size > MOST_TEXT:
                before += len(batch)
                yield batch
                batch, size = [], 0
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


_NO_PASSPORT = "passports are wanted, made by `passport(...)`; {0:,} came, and were stored, before {1!r}"


def _text(options: Options) -> str | None:
    """The options as they are stored: what is not said is not kept."""
    text = msgspec.json.encode(options).decode()
    return None if text == "{}" else text


def decoded(text: str | None) -> Any:
    """Decode JSON text from the store; None for None."""
    return None if text is None else msgspec.json.decode(text)
