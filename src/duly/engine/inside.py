"""What handlers ask of their supervisor: the verbs of its desk, and to wait.

`DistantDesk` is the handlers' end: each verb is a question that goes over the line, as everything it says is data.
`Inside` is the supervisor's end: it has the same verb carried out by a real desk, without waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from duly.core.action import ActionSpec, check_queue, parse_action
from duly.core.outcome import Invalid, Outcome, Success
from duly.core.passport import Options, Passport
from duly.engine.asking import Carrier, Verb, pursue
from duly.engine.attempt import Attempt
from duly.engine.desk import MOST_CHANGED, After, CancelAnswer, CancelPage, Desk, RetryPage
from duly.errors import (
    DulyError,
    ErrorData,
    InvalidInput,
    NotAvailable,
    OptionInvalid,
    PayloadInvalid,
    StoreBusy,
    StoreUnavailable,
)
from duly.ports import EventRow, Filter, Glance, Part, Pause, Paused, Runner, TaskRow
from duly.wire.runner import MOST_CHILDREN, UNHEARD, Answered, Ask, Declared, Question, Refused, encode

MOST_TOGETHER = 1_000
"""Tasks in one question; many are submitted by several."""

MOST_ASKED = 64 * 1024 * 1024
"""Bytes that one runner may have asked for and not been answered, beside four payloads of the largest size."""

Most: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOST_CHANGED)]
"""How many tasks a page may have: a handler's own code asks for no more, and nobody else waits for long."""

MOST_MOMENT = 1 << 60
MOST_NAME = 200
_OVERHEAD = 1_024


class Kind(NamedTuple):
    """A question: how its arguments and its answer are decoded."""

    takes: Callable[[Any], Any]
    gives: Callable[[Any], Any]


def _kind(takes: Any, gives: Any) -> Kind:
    return Kind(msgspec.msgpack.Decoder(takes).decode, msgspec.msgpack.Decoder(gives).decode)


KINDS = {
    "submit": _kind(tuple[list[Passport]], dict[str, str]),
    "cancel_now": _kind(tuple[str, str], CancelAnswer),
    "cancel_page": _kind(tuple[Filter, After, Most, str], CancelPage),
    "retry": _kind(tuple[str], str),
    "retry_page": _kind(tuple[Filter, After, Most], RetryPage),
    "find": _kind(tuple[str], TaskRow),
    "large": _kind(tuple[int, Part], str),
    "page": _kind(tuple[Filter, str, After, Most], list[TaskRow]),
    "runs": _kind(tuple[str, int], list[EventRow]),
    "last_update": _kind(tuple[str], Any),
    "declared": _kind(tuple[str, int | None, str | None], Declared),
    "pause": _kind(tuple[Paused, str], bool),
    "resume": _kind(tuple[Paused, str], bool),
    "pauses": _kind(tuple[()], list[Pause]),
    "watch": _kind(tuple[dict[str, int]], Glance),
}
"""All that can be asked. The last one is to wait; `forget` takes it back."""


class DistantDesk(Desk):
    """The desk for a handler: its steps are its supervisor's; what waits for several of them is as in every desk."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def submit(self, passports: Sequence[Passport], bell: str) -> Verb[dict[str, str]]:  # noqa: ARG002 - the supervisor is rung
        """Store tasks, each thousand of them in a transaction."""
        states: dict[str, str] = {}
        for part in portions(passports, self._most):
            states |= yield from question("submit", part)
        return states

    def find(self, task_id: str) -> Verb[TaskRow]:
        """Read a task."""
        return question("find", task_id)

    def large(self, key: int, part: Part) -> Verb[str]:
        """Read what was too large to be read along."""
        return question("large", key, part)

    def page(self, wanted: Filter, by: str, after: After, most: int) -> Verb[list[TaskRow]]:
        """Read a page of tasks."""
        return question("page", wanted, by, after, most)

    def runs(self, task_id: str, after: int) -> Verb[list[EventRow]]:
        """Read the next events of a task."""
        return question("runs", task_id, after)

    def last_update(self, task_id: str) -> Verb[Any]:
        """Read the data of a task's latest update."""
        return question("last_update", task_id)

    def cancel_now(self, task_id: str, reason: str) -> Verb[CancelAnswer]:
        """Cancel a task."""
        return question("cancel_now", task_id, reason)

    def cancel_page(self, wanted: Filter, after: After, most: int, reason: str) -> Verb[CancelPage]:
        """Cancel the next of those that fit."""
        return question("cancel_page", wanted, after, most, reason)

    def retry_page(self, wanted: Filter, after: After, most: int) -> Verb[RetryPage]:
        """Have the next of those that fit tried again."""
        return question("retry_page", wanted, after, most)

    def retry(self, task_id: str) -> Verb[str]:
        """Have a task tried again."""
        return question("retry", task_id)

    def pause(self, kind: Paused, name: str) -> Verb[bool]:
        """Pause a queue or an action."""
        return question("pause", kind, name)

    def resume(self, kind: Paused, name: str) -> Verb[bool]:
        """End a pause."""
        return question("resume", kind, name)

    def pauses(self) -> Verb[list[Pause]]:
        """Read what is paused."""
        return question("pauses")


def question(verb: str, *arguments: Any) -> Verb[Any]:
    """Ask the supervisor, and return its answer."""
    body = yield Question(verb, encode(arguments))
    return KINDS[verb].gives(body)


def portions(passports: Iterable[Passport], most: int) -> Iterator[list[Passport]]:
    """Divide into lists that one question can hold."""
    portion: list[Passport] = []
    size = 0
    for passport in passports:
        length = len(passport.payload_json)
        if portion and (len(portion) == MOST_TOGETHER or size + length > most // 2):
            yield portion
            portion, size = [], 0
        portion.append(passport)
        size += length
    if portion:
        yield portion


class _Pending(NamedTuple):
    """A question that is not answered yet; `give_up` takes a wait back."""

    key: int
    claim: int
    cost: int
    give_up: Callable[[], None] | None = None


class _Caller:
    """A runner, and what it has asked and was not answered: by number, with what that costs in memory."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.pending: dict[int, _Pending] = {}
        self.cost = 0
        self.waits = 0

    def add(self, number: int, pending: _Pending) -> None:
        self.pending[number] = pending
        self.cost += pending.cost
        self.waits += pending.give_up is not None

    def take(self, number: int) -> _Pending | None:
        pending = self.pending.pop(number, None)
        if pending is not None:
            self.cost -= pending.cost
            self.waits -= pending.give_up is not None
        return pending

    def forget(self, number: int) -> None:
        """It wants no answer to this any more."""
        pending = self.take(number)
        if pending is not None and pending.give_up is not None:
            pending.give_up()


class Inside:
    """Has what handlers ask carried out. Owned by a node's loop; `tell` has something done in that.

    `most` bounds a payload, in bytes.
    """

    def __init__(
        self, thread: Carrier, tell: Callable[[Callable[[], None]], None], actions: Sequence[ActionSpec], most: int
    ) -> None:
        self._thread = thread
        self._tell = tell
        self._most = most
        self._desk = Desk()
        self._declared: dict[tuple[str, int | None], Declared] = {}
        for action in sorted(actions, key=lambda action: action.version):
            declared = Declared(action.version, action.queue, action.priority)
            self._declared[action.name, action.version] = self._declared[action.name, None] = declared
        self.callers: dict[int, _Caller] = {}  # of the runners that live, those in which any handler has ever asked

    # asking
    def hear(self, runner: Runner, ask: Ask) -> None:
        """Begin what a handler asks for. Raises `ValueError` for what only code that got hold of the channel says."""
        caller = self.callers.setdefault(runner.number, _Caller(runner))
        if ask.verb == "forget":
            caller.forget(ask.number)
            return
        if ask.verb == UNHEARD:
            self._refuse(runner, ask.number, StoreUnavailable("the worker had no file descriptor left to hear this by"))
            return
        if ask.verb not in KINDS or ask.number in caller.pending:
            raise ValueError(f"no question: {ask.verb} {ask.number}")
        try:
            arguments = KINDS[ask.verb].takes(ask.body)
        except msgspec.ValidationError as error:  # a user may give anything for an id or a reason
            self._refuse(runner, ask.number, OptionInvalid(f"{ask.verb} cannot be asked for with this: {error}"))
            return
        pending = _Pending(ask.key, ask.claim, len(ask.body) + _OVERHEAD)
        if caller.cost + pending.cost > 4 * self._most + MOST_ASKED:
            self._refuse(runner, ask.number, StoreBusy("this process asks for too much at once; wait for answers"))
            return
        caller.add(ask.number, pending)
        done = partial(self._done, caller, ask.number)
        try:
            give_up = self._begin(ask.verb, arguments, done)
        except DulyError as error:  # the store is closed, or what is given cannot be used
            self._answer(caller, ask.number, None, error)
        else:
            if give_up is not None:
                caller.take(ask.number)
                caller.add(ask.number, pending._replace(give_up=give_up))

    def turn_away(self, runner: Runner, ask: Ask) -> None:
        """Somebody asks whose task is over."""
        self._refuse(runner, ask.number, NotAvailable("the task that asks is over"))

    def _begin(self, verb: str, arguments: Any, done: Callable[..., None]) -> Callable[[], None] | None:
        match verb:
            case "watch":
                return self._thread.watch(arguments[0], done, self._thread.post)
            case "submit":
                (passports,) = arguments
                self._check(passports)
                pursue(self._thread, self._desk.submit(passports, self._thread.address), done)
            case "declared":
                pursue(self._thread, self._declare(*arguments), done)
            case _:
                pursue(self._thread, getattr(self._desk, verb)(*arguments), done)
        return None

    def _declare(self, action: str, version: int | None, queue: str | None) -> Verb[Declared]:
        """Tell how an action is declared; from now on tasks of it may be stored with an attempt's success."""
        parse_action(action)
        declared = self._declared.get((action, version), Declared(version or 1, Options().queue, Options().priority))
        yield from self._desk.know([(check_queue(queue or declared.queue), action, declared.version)])
        return declared

    def _check(self, passports: Iterable[Passport]) -> None:
        """Refuse what a store could not keep; in a program that has the store, its own code sees to that."""
        for passport in passports:
            parse_action(passport.action)
            options = passport.options
            check_queue(options.queue)
            if len(passport.payload_json.encode()) > self._most:
                raise PayloadInvalid(f"a payload of more than the {self._most:,} bytes that are taken")
            if not 0 < len(passport.id) <= MOST_NAME or len(passport.origin) > MOST_NAME:
                raise InvalidInput("a passport is made by `passport(...)`, not by hand")
            delay = None if options.delay is None else options.delay * 1e6
            for number in (passport.version, options.run_at, delay, options.max_attempts):
                if number is not None and not 0 <= number <= MOST_MOMENT:
                    raise OptionInvalid(f"{number} is no version, moment, delay or number of attempts")

    # children
    def adopt(self, attempt: Attempt, children: list[Passport], outcome: Outcome) -> Outcome:
        """Keep the tasks that an attempt submitted until its success is stored; return what it comes to."""
        if not isinstance(outcome, Success):
            return outcome
        try:
            self._check(children[:MOST_CHILDREN])
            attempt.children = [self._desk.submission(child, "") for child in children[:MOST_CHILDREN]]
        except (InvalidInput, KeyError) as error:  # the user's code got hold of the channel
            return Invalid(ErrorData(type=type(error).__name__, message=f"the tasks it submitted: {error}"))
        return outcome

    # answering
    def _done(self, caller: _Caller, number: int, result: Any, error: BaseException | None) -> None:
        self._tell(lambda: self._answer(caller, number, result, error))

    def _answer(self, caller: _Caller, number: int, result: Any, error: BaseException | None) -> None:
        if caller.take(number) is None:  # over, or gone: another runner may have its number by now
            return
        try:
            body = b"" if error is not None else encode(result)
        except Exception as unsayable:  # noqa: BLE001 - a number that msgpack does not know
            error = unsayable
        if error is not None:
            self._refuse(caller.runner, number, error)
        else:
            caller.runner.answer(Answered(number, body))

    def _refuse(self, runner: Runner, number: int, error: BaseException) -> None:
        runner.answer(Answered(number, refused=Refused.of(error)))

    # letting go
    def waits(self, runner: int) -> bool:
        """Whether a handler in this runner waits for other tasks."""
        caller = self.callers.get(runner)
        return caller is not None and caller.waits > 0

    def over(self, runner: int, key: int, claim: int) -> None:
        """An attempt is over: it waits for nothing more."""
        caller = self.callers.get(runner)
        if caller is not None and caller.pending:
            for number, pending in list(caller.pending.items()):
                if (pending.key, pending.claim) == (key, claim):
                    caller.forget(number)

    def gone(self, runner: int) -> None:
        """A runner is gone, and nobody in it waits."""
        caller = self.callers.pop(runner, None)
        if caller is not None:
            for number in list(caller.pending):
                caller.forget(number)
