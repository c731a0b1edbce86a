"""The App: where a user's code and all of duly's parts meet. The only module that knows every concrete name."""

# long module: the public face is in one place; half of it is docstrings, signatures and async twins

from __future__ import annotations

import inspect
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast

import msgspec

from duly import config
from duly.action import Action, Decorator, declared, found_by_others, spec_of
from duly.core import jsonvalue, units
from duly.core.action import Isolation, Priority, check_queue, parse_action
from duly.core.keeping import Keep
from duly.core.options import at_least_one, with_options
from duly.core.passport import Options, Passport, issue
from duly.core.retry import Backoff
from duly.core.task import shown
from duly.core.texts import check_id
from duly.engine.asking import Carrier, Verb, aask, ask, ask_each
from duly.engine.desk import MOST_SUBMITS, Desk, admitted, batches, lane_of
from duly.engine.storethread import StoreThread
from duly.errors import ActionInvalid, NotAvailable, OptionInvalid
from duly.handle import Handle
from duly.history import Event, happened, history
from duly.listing import Listing, TaskInfo
from duly.operating import Operating
from duly.ports import Glance, Submission, TaskRow
from duly.runner.context import HERE
from duly.stores import place_of
from duly.wire.runner import Target
from duly.working import Working, refuse_misplaced

if TYPE_CHECKING:  # a submitter needs none of the engine's loops
    from duly.engine.settings import Settings
    from duly.engine.worker import Worker
    from duly.runner.inline import Inline

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Iterator[Any]])

_LATER = {
    "every": "schedules come with actions over time",
    "due": "running one's own work comes with actions over time",
    "adue": "running one's own work comes with actions over time",
    "next_due": "running one's own work comes with actions over time",
    "upgrade": "payload versions come with actions over time",
    "errors": "error reports come with actions over time",
    "on_recurring": "error reports come with actions over time",
    "replay": "replaying comes with actions over time",
    "flow": "flows are to come",
}

DICE = 100
"""Tasks for which the system is asked for random bytes at once."""


class App(Operating):
    """A store, and the actions whose tasks it keeps.

    `url` is `sqlite:///file`, `sqlite:////absolute/file` or `sqlite:///:memory:`; for a store on a server it is
    `postgresql://user@host/database?schema=duly`, with all that libpq takes. Without it `DULY_URL`, `[tool.duly] url`
    in pyproject.toml, and at last `sqlite:///duly.db` are used. The other settings are those of `duly.config.Config`.
    Nothing is opened before it is needed.

    >>> app = duly.App("sqlite:///tasks.db")
    """

    def __init__(self, url: str | None = None, **settings: Any) -> None:
        arguments = settings if url is None else {"url": url, **settings}
        self.config = config.load(arguments)
        self.place = place_of(self.config)
        self._actions: dict[tuple[str, int], Action[..., Any, ..., Any]] = {}
        self._around: list[Target] = []
        self._own_desk = Desk()
        self._origin = ""
        self._pid = 0
        self._rolled: list[bytes] = []
        self._thread = self._make_thread()

    def __repr__(self) -> str:
        return f"<duly.App {self.place.url} with {len(self._actions)} actions>"

    # declaring
    def action(  # long: all that can be said of an action
        self,
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
        retry: Backoff | None = None,
        demote_after: int = 2,
        keep: units.Seconds | msgspec.UnsetType | None = msgspec.UNSET,
        keep_failed: units.Seconds | msgspec.UnsetType | None = msgspec.UNSET,
        **later: Any,
    ) -> Decorator:
        """Declare a function at the top of a module as the handler of an action; the name stays callable.

        Its parameters are the payload's schema; a first one annotated `duly.Task` is given the context instead.
        `isolation` is `process` (a process runs one task at a time, one after another), `fresh` (a new process for each
        attempt) or `shared` (for async def: many at a time in one process, which ends with all of them if one has to be
        killed). `timeout` (None: no limit) and `grace` in seconds, `memory` in bytes or like "512MiB". A failed attempt
        is tried again up to `max_attempts` in all, as `retry` says (`Backoff()`), from the `demote_after`-th failure in
        a lower band. After its end a task is kept for `keep`, if it failed for `keep_failed`, else as the settings of
        these names say; 0 removes it within seconds, None never.

        Raises `ActionInvalid` for a bad name, a handler that cannot be found or called by another process, or a second
        declaration of (name, version); `OptionInvalid` for the others.

        >>> @app.action("greeting:write", timeout="1m")
        ... def greet(name: str) -> str:
        ...     return f"Hello {name}"
        >>> greet("Ann")
        'Hello Ann'
        """
        spec = spec_of(
            name,
            version=version,
            queue=queue,
            priority=priority,
            timeout=timeout,
            grace=grace,
            memory=memory,
            isolation=isolation,
            max_attempts=max_attempts,
            retry=retry,
            demote_after=demote_after,
            keep=self.config.keep if keep is msgspec.UNSET else keep,
            keep_failed=self.config.keep_failed if keep_failed is msgspec.UNSET else keep_failed,
            **later,
        )

        def declare(function: Callable[..., Any], /) -> Action[..., Any, ..., Any]:
            if (name, version) in self._actions:
                raise ActionInvalid(f"{name} version {version} is declared already")
            action = declared(self, spec, function)
            self._actions[name, version] = action
            return action

        return cast(Decorator, declare)

    def runner_setup(self, function: F) -> F:
        """Declare a generator function at the top of a module that runs around each runner's life.

        Up to its `yield` it runs before the first task, after that when the runner ends by itself; a runner that has to
        be killed never comes to it. Each part has 60 and 10 seconds. While it raises, tasks wait and the worker says
        why. Raises `ActionInvalid`.

        >>> @app.runner_setup
        ... def warm_up() -> Iterator[None]:
        ...     random.seed()
        ...     yield
        """
        self._around.append(found_by_others("runner_setup", function))
        generates: bool = inspect.isgeneratorfunction(function)
        if not generates:
            raise ActionInvalid(f"runner_setup: {function!r} is not a generator function: def with one yield")
        return function

    @property
    def actions(self) -> tuple[Action[..., Any, ..., Any], ...]:
        """The actions declared so far."""
        return tuple(self._actions.values())

    # submitting
    def passport(self, action: str, payload: Any = None, *, version: int | None = None, **options: Any) -> Passport:
        """Make the passport of a task by name, and store nothing; for options see `Action.using`.

        The payload is one JSON value. An object holds the handler's arguments by name, any other value is that of its
        only required parameter. An action that is not declared here is taken as it is: its tasks wait until somebody
        serves it.
        """
        if version is not None:
            at_least_one("version", version)
        known = self._known(action, version)
        if known is None:
            parse_action(action)
            chosen = Options()
        else:
            chosen = Options(queue=known.spec.queue, priority=known.spec.priority)
        text = jsonvalue.dump_given(payload, self.most_payload()).decode()
        if known is not None:
            known.check_payload(text)
        number = known.version if known is not None else version or 1
        return self.make_passport(action, number, text, with_options(chosen, datetime.now(UTC), **options))

    def _known(self, action: str, version: int | None) -> Action[..., Any, ..., Any] | None:
        if version is not None:
            return self._actions.get((action, version))
        versions = [number for name, number in self._actions if name == action]
        return self._actions[action, max(versions)] if versions else None

    def make_passport(self, action: str, version: int, payload_json: str, options: Options) -> Passport:
        """Make a passport of what was checked before."""
        dice = self._dice()
        return issue(action, version, payload_json, options, self._origin, time.time_ns(), dice)

    def _dice(self) -> bytes:
        """Return ten random bytes; by the many, since each call for them lets another thread have the interpreter."""
        if self._pid != os.getpid():  # the first time, or forked: who made a passport, and with which dice, is told
            self._pid, self._rolled = os.getpid(), []
            self._origin = f"{socket.gethostname()}:{self._pid}"
        try:
            return self._rolled.pop()
        except IndexError:
            rolled = os.urandom(10 * DICE)
            self._rolled = [rolled[place : place + 10] for place in range(10, len(rolled), 10)]
            return rolled[:10]

    def most_payload(self) -> int:
        """The bytes a payload may have; in a handler as its worker says."""
        return self.config.max_payload if HERE.line is None else HERE.line.most

    def submit(
        self, action: str | Passport, payload: Any = None, *, connection: Any = None, **options: Any
    ) -> Handle[Any]:
        """Store a task by name or by its passport, and return after the commit is on disk.

        A passport that is submitted twice is one task. For options see `Action.using`. Raises `ActionInvalid`,
        `PayloadInvalid`, `OptionInvalid`, `StoreError`.

        With a `connection` to the PostgreSQL database that the store is in, the task is part of the transaction that
        the connection is in: there when you commit it, and never if you roll it back. It is one of psycopg 3,
        SQLAlchemy's Connection or Session on `postgresql+psycopg`, or Django's `connection`, at isolation level read
        committed. After a `StoreError` the transaction can only be rolled back.

        >>> handle = app.submit("email:send", {"to": "ann@example.com", "text": "hello"}, delay="10m")
        >>> handle.state
        'scheduled'
        """
        return self.submit_passport(self._passport_of(action, payload, options), connection)

    async def asubmit(
        self, action: str | Passport, payload: Any = None, *, connection: Any = None, **options: Any
    ) -> Handle[Any]:
        """Like `submit`, from async code."""
        return await self.asubmit_passport(self._passport_of(action, payload, options), connection)

    def submit_many(self, passports: Iterable[Passport], *, connection: Any = None) -> list[Handle[Any]]:
        """Store many tasks, in commits of up to 5,000; repeatable, since a passport is one task however often.

        With a `connection` they are part of the transaction that it is in, as with `submit`.

        Raises `OptionInvalid` for what is no passport, whatever the iterable itself raises, and `StoreError`. In the
        first two cases all passports that came before are stored, and none after; in the last, repeat it all.

        >>> handles = app.submit_many(send.passport(to, "hello") for to in ("ann@example.com", "ben@example.com"))
        >>> [handle.state for handle in handles]
        ['ready', 'ready']
        """
        store, rest = self._store(), batches(passports)
        if connection is not None:
            return [handle for batch in rest for handle in self._submit_with(connection, batch)]
        handles: list[Handle[Any]] = []
        for first in rest:
            handles += ask(store, self._submitting(first))
            if len(first) < MOST_SUBMITS:
                continue
            for more in ask_each(store, map(self._submitting, rest)):
                handles += more
        return handles

    async def asubmit_many(self, passports: Iterable[Passport], *, connection: Any = None) -> list[Handle[Any]]:
        """Like `submit_many`, from async code."""
        if connection is not None:
            return [handle for batch in batches(passports) for handle in await self._asubmit_with(connection, batch)]
        return [handle for batch in batches(passports) for handle in await aask(self._store(), self._submitting(batch))]

    def submit_passport(self, passport: Passport, connection: Any = None) -> Handle[Any]:
        """Store one task."""
        if connection is not None:
            return self._submit_with(connection, [passport])[0]
        return ask(self._store(), self._submitting([passport]))[0]

    async def asubmit_passport(self, passport: Passport, connection: Any = None) -> Handle[Any]:
        """Store one task, from async code."""
        if connection is not None:
            return (await self._asubmit_with(connection, [passport]))[0]
        return (await aask(self._store(), self._submitting([passport])))[0]

    def _passport_of(self, action: str | Passport, payload: Any, options: dict[str, Any]) -> Passport:
        if not isinstance(action, Passport):
            return self.passport(action, payload, **options)
        if payload is not None or options:
            raise OptionInvalid("a passport has its payload and options already")
        return action

    def _submitting(self, passports: Sequence[Passport]) -> Verb[list[Handle[Any]]]:
        thread = self._store()
        thread.open()  # from then on it has an address, which goes with the tasks
        states = yield from self._desk.submit(passports, thread.address)
        return self._handles(passports, states)

    def _submit_with(self, connection: Any, passports: Sequence[Passport]) -> list[Handle[Any]]:
        """Store tasks within a transaction of the caller's."""
        caller = self.place.part_of(connection)
        submissions = ask(self._store(), self._preparing(passports))
        return self._stored(passports, submissions, caller.submit(submissions, _lanes(passports, submissions)))

    async def _asubmit_with(self, connection: Any, passports: Sequence[Passport]) -> list[Handle[Any]]:
        caller = self.place.part_of(connection)
        submissions = await aask(self._store(), self._preparing(passports))
        known = await caller.asubmit(submissions, _lanes(passports, submissions))
        return self._stored(passports, submissions, known)

    def _preparing(self, passports: Sequence[Passport]) -> Verb[list[Submission]]:
        thread = self._store()
        thread.open()
        return (yield from self._desk.prepared(passports, thread.address))

    def _stored(
        self, passports: Sequence[Passport], submissions: Sequence[Submission], known: Sequence[Glance]
    ) -> list[Handle[Any]]:
        states = admitted(submissions) | {glance.id: shown(glance.state, glance.verdict) for glance in known}
        return self._handles(passports, states)

    def _handles(self, passports: Sequence[Passport], states: Mapping[str, str]) -> list[Handle[Any]]:
        return [Handle(self._store(), self._desk, p.id, p.action, states[p.id]) for p in passports]

    # looking
    def handle(self, task_id: str) -> Handle[Any]:
        """Return the handle of a task by its id; whether there is such a task shows when it is used."""
        return Handle(self._store(), self._desk, check_id(task_id))

    def tasks(
        self,
        *,
        state: str | Sequence[str] | None = None,
        action: str | None = None,
        queue: str | None = None,
        since: units.Moment | None = None,
        due_before: units.Moment | None = None,
        by: str = "newest",
        first: int | None = None,
    ) -> Iterator[TaskInfo]:
        """Yield the tasks that fit, `newest` first or by `date`, page by page; at most `first`.

        `state` is one or several of the states; `since` and `due_before` are moments, and a length of time counts from
        now backwards and forwards.
        """
        listing = Listing(state, action, queue, since, due_before, by, first)
        while page := ask(self._store(), listing.next(self._desk)):
            yield from page

    async def atasks(
        self,
        *,
        state: str | Sequence[str] | None = None,
        action: str | None = None,
        queue: str | None = None,
        since: units.Moment | None = None,
        due_before: units.Moment | None = None,
        by: str = "newest",
        first: int | None = None,
    ) -> AsyncIterator[TaskInfo]:
        """Like `tasks`, from async code."""
        listing = Listing(state, action, queue, since, due_before, by, first)
        while page := await aask(self._store(), listing.next(self._desk)):
            for task in page:
                yield task

    def look(self, task_id: str) -> tuple[TaskRow, list[Event]]:
        """Return all that is stored of a task, and its history up to now. Raises `TaskNotFound`."""
        return ask(self._store(), history(self._desk, check_id(task_id)))

    def look_on(self, seen: Mapping[str, int], patience: float = 0.0) -> list[tuple[TaskRow, list[Event]]]:
        """Return tasks, and what happened to each after the event whose number was seen.

        If nothing has, it waits until something does, for so many seconds at most. Unknown tasks are left out.
        """
        return ask(self._store(), happened(self._desk, seen, patience))

    def ended(self, ids: Sequence[str], patience: float = 0.0) -> list[TaskRow]:
        """Return those of some tasks that have ended, some hundreds at most, with their payloads and results.

        If none has, it waits until one has, for so many seconds at most.
        """
        return ask(self._store(), self._desk.ended(ids, patience))

    # running
    def worker(self, concurrency: int | None = None, *, queues: Sequence[str] | None = None) -> Working:
        """Return a worker to be used as a context manager: a node in this process, whose tasks run in their own.

        `concurrency` counts runners, by default as the setting says, else CPU cores; `queues` are those served, by
        default all. On leaving it claims no more and lets what runs end, for `drain_timeout` at most. A worker that has
        to stop, say since its disk fails, raises why: in whoever waits for a task by this App, and on leaving.

        >>> with app.worker():
        ...     print(send.submit("ann@example.com", "hello").result())
        sent 5 letters to ann@example.com
        """
        refuse_misplaced("app.worker()")
        return Working(self.make_worker(concurrency, queues, alone=False))

    def run_worker(self, concurrency: int | None = None, *, queues: Sequence[str] | None = None) -> None:
        """Work in this thread until a SIGTERM or SIGINT has been followed (a second one hurries)."""
        from duly.runner.linux import keep_freed_memory  # noqa: PLC0415 - a submitter needs none of it

        refuse_misplaced("app.run_worker()")
        keep_freed_memory()
        self.make_worker(concurrency, queues).run_until_signalled()

    def run_inline(self, *, queues: Sequence[str] | None = None) -> None:
        """Run handlers in this, the main, thread, one at a time, until signalled: for a debugger, and for nothing else.

        No limit of time or memory holds, a handler can block or end the worker, and nobody cleans up behind it.
        """
        from duly.runner.inline import Inline  # noqa: PLC0415 - what only a debugger needs

        refuse_misplaced("app.run_inline()")
        inline = Inline()
        self.make_worker(1, queues, inline).run_beside(inline.serve)

    def make_worker(
        self,
        concurrency: int | None,
        queues: Sequence[str] | None,
        inline: Inline | None = None,
        *,
        alone: bool = True,
    ) -> Worker:
        """Return a worker that was not begun; see `worker`. It is `alone` if this process is there for it only."""
        from duly.engine.console import Console  # noqa: PLC0415 - a submitter needs none of the engine's loops
        from duly.engine.node import Node  # noqa: PLC0415
        from duly.engine.notify import Notifier  # noqa: PLC0415
        from duly.engine.roster import Roster  # noqa: PLC0415
        from duly.engine.worker import Worker  # noqa: PLC0415
        from duly.runner.pool import Pool, check_platform  # noqa: PLC0415

        replace = msgspec.structs.replace
        check_platform()
        if not self._actions:
            raise ActionInvalid("this App has no actions: a worker would have nothing to do")
        served = _served(queues)
        settings = self._settings(concurrency, beside=inline is None)
        actions = [(action.spec, action.target) for action in self._actions.values()]
        if inline is not None:
            single: dict[str, Any] = {"isolation": "process"}
            actions = [(replace(spec, **single), replace(target, **single)) for spec, target in actions]
        thread, make_bell, notifier = self._thread, self.place.make_node_bell, Notifier(os.environ if alone else {})

        def make_node() -> Node:
            roster = Roster(actions, served, self._around, limits=inline is None)
            make_pool: Callable[[str], Pool] = Pool if inline is None else inline.pool
            return Node(thread, make_pool, make_bell, roster, settings, Console(2), notifier)

        return Worker(make_node, thread.hopeless, *([] if inline is None else [inline.stop]))

    def _settings(self, concurrency: int | None, *, beside: bool) -> Settings:
        from importlib.metadata import version  # noqa: PLC0415

        from duly.engine.settings import Settings  # noqa: PLC0415

        runners = config.load({"concurrency": concurrency}).concurrency if concurrency is not None else 0
        return Settings(
            concurrency=runners or self.config.concurrency or len(os.sched_getaffinity(0)),
            poll=self.config.poll,
            drain_timeout=self.config.drain_timeout,
            most_bytes=self.config.max_payload,
            label=f"{socket.gethostname()}:{os.getpid()}",
            recycle_tasks=self.config.recycle_tasks,
            recycle_growth=self.config.recycle_growth,
            beside=beside,
            keep=self._keep(),
            status_file=self.config.status_file,
            release=version("duly") if self.config.status_file is not None else "",
        )

    def _keep(self) -> Keep:
        return Keep(units.kept(self.config.keep), units.kept(self.config.keep_failed))

    # the store
    def _store(self) -> Carrier:
        """The store's thread; in a handler, the line to the supervisor instead."""
        if not HERE.inside:
            return self._thread
        line = HERE.line
        if line is None:
            raise NotAvailable(_PERFORMED if HERE.task is not None else _IMPORTED)
        line.open()
        return line

    @property
    def _desk(self) -> Desk:
        """Where tasks are submitted; in a handler, the supervisor's."""
        if HERE.line is None:
            return self._own_desk
        from duly.engine.inside import DistantDesk  # noqa: PLC0415 - only handlers need it

        return DistantDesk(HERE.line.most)

    def _make_thread(self) -> StoreThread:
        return StoreThread(self.place.make_store, self.place.make_bell, self.config.poll)

    @contextmanager
    def moved(self, url: str) -> Iterator[Self]:
        """Keep tasks in another store meanwhile, as tests want to; its handles are of no use afterwards.

        >>> with app.moved("sqlite:///test.db"):
        ...     print(send.submit("ann@example.com", "hello").state, len(list(app.tasks())))
        ready 1
        >>> len(list(app.tasks()))
        0
        """
        before = self.config, self.place, self._own_desk, self._thread
        elsewhere = msgspec.structs.replace(self.config, url=url)
        self.place, self._own_desk, self.config = place_of(elsewhere), Desk(), elsewhere
        self._thread = self._make_thread()
        try:
            yield self
        finally:
            self._thread.close()
            self.config, self.place, self._own_desk, self._thread = before

    def close(self) -> None:
        """Close the store; safe to call twice. A closed App is used no more."""
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in _LATER:
                raise NotAvailable(f"app.{name} is not in this release yet: {_LATER[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_PERFORMED = "what is performed has no worker to submit by; return what its caller is to submit"
_IMPORTED = (
    "a task's process imports this module, too, and has no store; put what submits and waits under "
    "`if __name__ == '__main__':`"
)


def _lanes(passports: Sequence[Passport], submissions: Sequence[Submission]) -> dict[int, tuple[str, str, int]]:
    """What the lanes of submissions are, by number."""
    return {submission.lane: lane_of(passport) for passport, submission in zip(passports, submissions, strict=True)}


def _served(queues: Sequence[str] | None) -> list[str] | None:
    if queues is None:
        return None
    if not isinstance(queues, list | tuple | set | frozenset) or not queues:
        raise OptionInvalid(f"bad queues {queues!r}: a list of names; without it all are served")
    return [check_queue(queue) for queue in queues]
