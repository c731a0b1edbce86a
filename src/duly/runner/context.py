"""What a handler holds of its task, and where this process stands: in a runner, and on which task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

import msgspec

from duly.core import jsonvalue
from duly.core.passport import Options, Passport
from duly.errors import NotAvailable, PayloadInvalid, TaskStopped
from duly.runner.children import Children
from duly.runner.line import Line
from duly.runner.updates import MOST_UPDATE, Later, Updates
from duly.wire.runner import Said, Target, Work

T = TypeVar("T")

_LATER = {
    "on": "reacting to events inside a handler",
    "start": "serving tasks over a hub",
    "get_payload": "serving tasks over a hub",
    "drop": "serving tasks over a hub",
    "emit": "addons of flows",
}


class Here:
    """This process: whether it is a zygote or runner, the task that its one attempt at a time works on, and its line.

    What was only performed has no line, and neither has a zygote.
    """

    inside = False
    task: Task | None = None
    line: Line | None = None


HERE = Here()
CURRENT: ContextVar[Task] = ContextVar("duly_task")


def current() -> Task:
    """Return the task whose handler is running; raises `LookupError` outside of one.

    It works anywhere below the handler, in threads that it started, too.
    """
    task = CURRENT.get(None) or HERE.task
    if task is None:
        raise LookupError("duly.current() was called outside of a task's handler")
    return task


def asker() -> tuple[int, int]:
    """Return the (key, claim) of the attempt whose handler is running; raises `NotAvailable` outside of one."""
    task = CURRENT.get(None) or HERE.task
    if task is None or task._over:  # noqa: SLF001 - a friend of Task
        raise NotAvailable(
            "no task runs here: a module that is imported, and what outlives its task, can neither submit nor wait; "
            "put what a program submits under `if __name__ == '__main__':`"
        )
    return task._work.key, task._work.claim  # noqa: SLF001


class Task:
    """One attempt at a task, as its handler sees it; never made by users.

    A handler gets it as its first parameter if that is annotated `duly.Task`, or by `duly.current()`.
    """

    _told: Updates | None = None
    _info: dict[str, Any] | None = None
    _over = False
    _family: Children | None = None

    def __init__(
        self,
        work: Work,
        target: Target,
        began: int,
        asked: Callable[[int, int], str],
        say: Callable[[Said], None],
        make_later: Callable[[], Later],
    ) -> None:
        self._work = work
        self._target = target
        self._began = began
        self._asked = asked
        self._say = say
        self._make_later = make_later

    @property
    def _fence(self) -> tuple[int, int]:
        """The key and the claim of its attempt."""
        return self._work.key, self._work.claim

    def __repr__(self) -> str:
        return f"<duly.Task {self.action} {self.id} attempt {self.attempt}>"

    @property
    def id(self) -> str:
        """The task's id, a UUIDv7; equal in all its attempts."""
        return self._work.id

    @property
    def action(self) -> str:
        """The name of the action."""
        return self._target.name

    @property
    def version(self) -> int:
        """The version of the action."""
        return self._target.version

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._work.attempt

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.passport.options.queue

    @property
    def passport(self) -> Passport:
        """Who the task is and what it carries."""
        work = self._work
        options = msgspec.json.decode(work.options, type=Options) if work.options else Options()
        return Passport(
            id=work.id,
            action=self.action,
            version=self.version,
            payload_json=work.payload,
            options=options,
            origin=work.origin,
            made_at=work.submitted,
        )

    @property
    def deadline(self) -> None:
        """The task's deadline; this release has none."""
        return None

    @property
    def time_left(self) -> float | None:
        """Seconds until the attempt's time limit, or None without one."""
        limit = self._work.limit
        return None if limit is None else max(0.0, self._began / 1e9 + limit - time.monotonic())

    # stopping
    @property
    def stop_reason(self) -> str | None:
        """Why this attempt is asked to stop (`cancel`, `timeout` or `drain`), or None if it is not."""
        return self._asked(self._work.key, self._work.claim) or None

    @property
    def cancel_requested(self) -> bool:
        """Whether this attempt is asked to stop, for whatever reason."""
        return self.stop_reason is not None

    def check(self) -> None:
        """Raise `TaskStopped` if this attempt is asked to stop; a good place is the head of a long loop."""
        reason = self.stop_reason
        if reason is not None:
            raise TaskStopped(reason)

    # telling
    @property
    def _updates(self) -> Updates:
        if self._told is None:
            self._told = Updates(self._work, self._say, self._make_later())
        return self._told

    def update(self, data: Any = None, *, fraction: float | None = None, message: str | None = None) -> None:
        """Tell how far it is: JSON data, a fraction from 0 to 1, a few words. Cheap; at most ten a second are sent on.

        Raises `PayloadInvalid` for what is not JSON or larger than 64 KiB.
        """
        if fraction is not None and (isinstance(fraction, bool | str) or not 0 <= fraction <= 1):
            raise PayloadInvalid(f"fraction {fraction!r} is not between 0 and 1")
        if message is not None and not isinstance(message, str):
            raise PayloadInvalid(f"message {message!r} is not text")
        told = {"data": data, "fraction": fraction, "message": message}
        self._updates.tell({name: value for name, value in told.items() if value is not None})

    @property
    def last_update(self) -> Any:
        """The data of the latest `update` of this attempt, or None."""
        return None if self._told is None else self._told.latest.get("data")

    def track(self, iterable: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Yield what the iterable yields, telling the progress as it goes.

        >>> def handler(task: Task, names: list[str]) -> None:
        ...     for name in task.track(names):
        ...         work_on(name)
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        done = 0
        for item in iterable:
            self._tell_progress(done, total)
            yield item
            done += 1
        self._tell_progress(done, total, last=True)

    def _tell_progress(self, done: int, total: int | None, *, last: bool = False) -> None:
        if last or self._updates.is_time():
            fraction = min(1.0, done / total) if total else None
            self.update({"done": done, "total": total}, fraction=fraction)

    def add_info(self, name: str, value: Any) -> None:
        """Keep a named JSON value with the task; it stays even if this process dies next."""
        info = {**self.info, str(name): value}
        body = jsonvalue.dump_given(info, MOST_UPDATE)
        self._info = info
        self._say(Said(self._work.key, self._work.claim, "info", body.decode(), str(name)))

    @property
    def info(self) -> dict[str, Any]:
        """What has been added by `add_info`, in earlier attempts, too."""
        if self._info is None:
            self._info = msgspec.json.decode(self._work.info) if self._work.info else {}
        return dict(self._info)

    # submitting
    def submit(
        self, action: str | Passport, payload: Any = None, *, version: int | None = None, **options: Any
    ) -> Passport:
        """Have another task stored if this attempt succeeds, in the very same transaction: all of them or none.

        Nothing is stored before, and nothing if the attempt fails, is stopped, or comes back later. Returns the
        passport; its `id` is known from now on. At most 10,000, whose payloads are together no larger than one may be.
        For options see `Action.using`. Raises `ActionInvalid`, `PayloadInvalid`, `OptionInvalid`, `StoreError`.

        >>> def handler(task: Task, names: list[str]) -> None:
        ...     for name in names:
        ...         task.submit(greet.passport(name))
        ...     task.submit("report:send", {"names": len(names)}, priority="low")
        """
        if self._over or HERE.line is None:
            raise NotAvailable("a task submits others while its handler runs, in a worker; this one does not")
        if self._family is None:
            self._family = Children(HERE.line)
        return self._family.add(action, payload, version, options)

    def _children(self) -> list[Passport] | None:
        """What is to be stored with a success."""
        return None if self._family is None else list(self._family.passports.values())

    def __getattr__(self, name: str) -> NoReturn:
        if name in _LATER:
            raise NotAvailable(f"task.{name}: {_LATER[name]} is not in this release yet")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _end(self) -> None:
        """The attempt is over: send what was held back, and nothing more."""
        self._over = True
        if self._told is not None:
            self._told.end()
