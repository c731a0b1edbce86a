"""Declared actions: a plain function that can also be submitted, with its own types on both ways."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from duly.core import units
from duly.core.action import ActionSpec, Isolation, Policy, Priority, check_queue, parse_action
from duly.core.keeping import Keep
from duly.core.options import at_least_one, refuse_unknown, with_options
from duly.core.order import band_of
from duly.core.passport import Options, Passport
from duly.core.retry import Backoff
from duly.core.signature import Signature
from duly.errors import ActionInvalid, OptionInvalid, TargetNotFound
from duly.handle import Handle
from duly.runner.context import Task
from duly.runner.targets import from_callable
from duly.wire.runner import Target

C = ParamSpec("C")
P = ParamSpec("P")
X = TypeVar("X")
R = TypeVar("R")

UNSET = msgspec.UNSET
_LATER_POLICY = {
    "unique": "unique tasks come with actions over time",
    "limit": "limits come with actions over time",
    "expires": "expiry comes with actions over time",
    "replayable": "replaying comes with actions over time",
}


class Submitter(Protocol):
    """What an action needs of its App."""

    def make_passport(self, action: str, version: int, payload_json: str, options: Options) -> Passport:
        """Make a task's passport."""

    def submit_passport(self, passport: Passport, connection: Any = None) -> Handle[Any]:
        """Store a task."""

    async def asubmit_passport(self, passport: Passport, connection: Any = None) -> Handle[Any]:
        """Store a task, from async code."""

    def most_payload(self) -> int:
        """The bytes a payload may have."""


class Action(Generic[C, X, P, R]):
    """A declared action. Called, it is the plain function; `submit` makes it a durable task.

    Made by `App.action`.
    """

    def __init__(
        self,
        app: Submitter,
        spec: ActionSpec,
        function: Callable[C, X],
        signature: Signature,
        options: Options,
        connection: Any = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__duly_handler__ = function
        self.spec = spec
        self._app = app
        self._signature = signature
        self._options = options
        self._connection = connection

    def __repr__(self) -> str:
        return f"<duly.Action {self.name}>"

    @property
    def name(self) -> str:
        """The action's name."""
        return self.spec.name

    @property
    def version(self) -> int:
        """The action's version."""
        return self.spec.version

    def __call__(self, *args: C.args, **kwargs: C.kwargs) -> X:
        """Call the plain function, here and now."""
        return self.__duly_handler__(*args, **kwargs)

    def passport(self, *args: P.args, **kwargs: P.kwargs) -> Passport:
        """Make a task's passport, its id included, and store nothing. Raises `PayloadInvalid` for a wrong call."""
        payload = self._signature.encode(args, kwargs, self._app.most_payload())
        return self._app.make_passport(self.name, self.version, payload, self._options)

    def check_payload(self, payload_json: str) -> None:
        """Raise `PayloadInvalid` if the handler would not take a payload that was given by name."""
        self._signature.decode(payload_json)

    def arguments(self, payload_json: str) -> dict[str, Any]:
        """Return the arguments that the handler gets for a payload, by name, defaults included.

        Raises `PayloadInvalid` if it would not take it.

        >>> send.arguments('{"to": "ann@example.com", "text": "hello"}')
        {'to': 'ann@example.com', 'text': 'hello'}
        """
        return self._signature.arguments(payload_json)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Store a task that will call the function with these arguments; returns after the commit is on disk.

        Raises `PayloadInvalid` for a wrong call, and `StoreError`.
        """
        return self._app.submit_passport(self.passport(*args, **kwargs), self._connection)

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Like `submit`, from async code."""
        return await self._app.asubmit_passport(self.passport(*args, **kwargs), self._connection)

    def using(
        self,
        *,
        priority: Priority | None = None,
        front: bool | None = None,
        run_at: units.Moment | None = None,
        delay: units.Seconds | None = None,
        queue: str | None = None,
        timeout: units.Seconds | msgspec.UnsetType | None = UNSET,
        max_attempts: int | None = None,
        connection: Any = None,
        **later: Any,
    ) -> Action[C, X, P, R]:
        """Return this action with options for the tasks submitted by it.

        `priority` is high, medium or low, `front` puts it first in that. `run_at` is a moment, `delay` a length of time
        from when the store takes the task, by its clock. `timeout` (None: no limit) and `max_attempts` replace the
        action's. With a `connection` they are submitted in the transaction that it is in, see `App.submit`. Raises
        `OptionInvalid`.

        >>> handle = send.using(priority="high", delay="10m").submit("ann@example.com", "hello")
        >>> handle.state
        'scheduled'
        """
        options = with_options(
            self._options,
            datetime.now(UTC),
            priority=priority,
            front=front,
            run_at=run_at,
            delay=delay,
            queue=queue,
            timeout=timeout,
            max_attempts=max_attempts,
            **later,
        )
        connection = self._connection if connection is None else connection
        return Action(self._app, self.spec, self.__duly_handler__, self._signature, options, connection)

    @property
    def target(self) -> Target:
        """Where a runner finds the function."""
        target = found_by_others(self.name, self.__duly_handler__)
        return msgspec.structs.replace(target, name=self.name, version=self.version, isolation=self.spec.isolation)


def spec_of(
    name: str,
    *,
    version: int = 1,
    queue: str = "default",
    priority: Priority = "medium",
    timeout: units.Seconds | None = 600,
    grace: units.Seconds = 5,
    memory: units.Size | None = None,
    isolation: Isolation = "process",
    max_attempts: int = 5,
    retry: Any = None,
    demote_after: Any = 2,
    keep: units.Seconds | None = "7d",
    keep_failed: units.Seconds | None = "30d",
    **later: Any,
) -> ActionSpec:
    """Read a declaration; raises `ActionInvalid`, `OptionInvalid` and `NotAvailable`."""
    refuse_unknown("argument", later, _LATER_POLICY)
    parse_action(name)
    band_of(priority)
    return ActionSpec(
        name=name,
        version=at_least_one("version", version),
        queue=check_queue(queue),
        priority=priority,
        isolation=_isolation(isolation, memory),
        policy=Policy(
            timeout=units.time_limit(timeout),
            grace=units.seconds(grace, "grace"),
            memory=units.memory_limit(memory),
            max_attempts=at_least_one("max_attempts", max_attempts),
            retry=_backoff(retry),
            demote_after=_demote_after(demote_after),
        ),
        keep=Keep(units.kept(keep), units.kept(keep_failed, "keep_failed")),
    )


def declared(app: Submitter, spec: ActionSpec, function: Callable[..., Any]) -> Action[..., Any, ..., Any]:
    """Make a declared action of a function; raises `ActionInvalid` for one that no other process could find."""
    if isinstance(function, Action):
        function = function.__duly_handler__
    if not callable(function):
        raise ActionInvalid(f"{spec.name}: {function!r} is not a function")
    found_by_others(spec.name, function)
    signature = Signature(function, Task)
    _refuse_misfits(spec.name, function)
    if spec.isolation == "shared" and not signature.is_async:
        raise ActionInvalid(
            f"{spec.name}: isolation='shared' is for async def; a plain function would block the others"
        )
    options = Options(queue=spec.queue, priority=spec.priority)
    return Action(app, spec, function, signature, options)


def _refuse_misfits(name: str, function: Callable[..., Any]) -> None:
    """Refuse what could be found, and then not be called as a handler is."""
    title = getattr(function, "__qualname__", repr(function))
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ActionInvalid(f"{name}: {title} is a generator: nothing would run it; return a list, say")
    if "." in title and next(iter(inspect.signature(function).parameters), "") == "self":
        raise ActionInvalid(f"{name}: {title} is a method, and no other process has its object; give a function")


_IN_FACTORY = "; a function that makes an App declares one that stands there by `app.action(...)(function)`"


def found_by_others(name: str, function: Callable[..., Any]) -> Target:
    """Return where other processes find a function; raises `ActionInvalid` if they could not."""
    try:
        return from_callable(function)
    except TargetNotFound as error:
        cure = _IN_FACTORY if "<locals>" in getattr(function, "__qualname__", "") else ""
        raise ActionInvalid(f"{name}: {error}{cure}") from None


def _isolation(value: Any, memory: Any) -> Isolation:
    if value not in ("process", "fresh", "shared"):
        raise OptionInvalid(f"bad isolation {value!r}: 'process', 'fresh' or 'shared'")
    if value == "shared" and memory is not None:
        raise OptionInvalid("isolation='shared' has no memory limit: many tasks share one process; 'process' has one")
    isolation: Isolation = value
    return isolation


def _backoff(value: Any) -> Backoff:
    if value is not None and not isinstance(value, Backoff):
        raise OptionInvalid(f"bad retry {value!r}: a duly.Backoff")
    return value or Backoff()


def _demote_after(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OptionInvalid(f"bad demote_after {value!r}: a number of failures, or 0 for never")
    return value


class Decorator(Protocol):
    """What `App.action` returns: it keeps the function's types, with and without the context, sync and async."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Task, P], Coroutine[Any, Any, R]], /
    ) -> Action[Concatenate[Task, P], Coroutine[Any, Any, R], P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Task, P], R], /) -> Action[Concatenate[Task, P], R, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Action[P, Coroutine[Any, Any, R], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Action[P, R, P, R]: ...
