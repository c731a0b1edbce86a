"""What operators do with an App's store: cancel and retry, pause, keep it in order, and see how it is."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Unpack, overload

import msgspec

from duly.config import Config
from duly.core import units
from duly.core.keeping import Keep
from duly.core.texts import check_id
from duly.engine import forks
from duly.engine.asking import Carrier, Verb, aask, ask, call
from duly.engine.desk import CancelAnswer, Desk
from duly.engine.keeper import Keeper, Tidied, noted
from duly.errors import OptionInvalid, StoreUnavailable
from duly.handle import Handle
from duly.listing import PauseInfo, paused_by, pauses
from duly.many import CancelCount, Cancels, Retries, RetryCount, Which
from duly.ports import Backup, Copied, Finding, Lane, NodeRow, Step, Store, Tally
from duly.stores import IN_MEMORY, File, Place, place_of

if TYPE_CHECKING:
    from duly.engine.mover import Carried, Progress


class Operating(ABC):
    """The verbs of an App that are for operators; the App says where its store is."""

    config: Config
    place: Place

    @abstractmethod
    def handle(self, task_id: str) -> Handle[Any]:
        """Return the handle of a task by its id."""

    @abstractmethod
    def _store(self) -> Carrier: ...

    @property
    @abstractmethod
    def _desk(self) -> Desk: ...

    @abstractmethod
    def _keep(self) -> Keep: ...

    # cancelling
    def cancel_all(self, ids: Sequence[str], reason: str) -> None:
        """Cancel those of some tasks that have not ended, all in one transaction."""
        ask(self._store(), self._desk.cancel_all(ids, reason))

    @overload
    def cancel(self, task_id: str, reason: str = ..., wait: units.Seconds | None = ...) -> CancelAnswer: ...

    @overload
    def cancel(
        self, *, reason: str = ..., wait: units.Seconds | None = ..., dry_run: bool = ..., **which: Unpack[Which]
    ) -> CancelCount: ...

    def cancel(
        self,
        task_id: str | None = None,
        reason: str = "cancelled",
        wait: units.Seconds | None = None,
        *,
        dry_run: bool = False,
        **which: Unpack[Which],
    ) -> CancelAnswer | CancelCount:
        """Cancel a task, as `Handle.cancel` does; or all that fit a filter, and return how many.

        The filter is that of `tasks`: `state`, `action`, `queue`, `since`, `due_before`, and `first` for so many of the
        newest. Without a `state` all that have not ended are meant. They are cancelled in steps of 1,000, of which each
        is final; interrupted, say the same once more. What is submitted meanwhile stays. With `wait` it returns when
        those that run are stopped, after so many seconds at most. A `dry_run` counts, and does nothing.

        Raises `OptionInvalid` (also for no filter at all), `ActionInvalid`, `WaitTimeout`, `StoreError`.

        >>> handles = app.submit_many(send.passport(to, "hello") for to in ("ann@example.com", "ben@example.com"))
        >>> app.cancel(state="ready", action="email:send", since="1h")
        CancelCount(cancelled=2, asked=0)
        """
        verb = self._cancelling(task_id, reason, units.patience(wait, "wait"), which, dry_run=dry_run)
        return ask(self._store(), verb)

    @overload
    async def acancel(self, task_id: str, reason: str = ..., wait: units.Seconds | None = ...) -> CancelAnswer: ...

    @overload
    async def acancel(
        self, *, reason: str = ..., wait: units.Seconds | None = ..., dry_run: bool = ..., **which: Unpack[Which]
    ) -> CancelCount: ...

    async def acancel(
        self,
        task_id: str | None = None,
        reason: str = "cancelled",
        wait: units.Seconds | None = None,
        *,
        dry_run: bool = False,
        **which: Unpack[Which],
    ) -> CancelAnswer | CancelCount:
        """Like `cancel`, from async code."""
        verb = self._cancelling(task_id, reason, units.patience(wait, "wait"), which, dry_run=dry_run)
        return await aask(self._store(), verb)

    def _cancelling(
        self, task_id: str | None, reason: str, wait: float | None, which: Which, *, dry_run: bool
    ) -> Verb[CancelAnswer | CancelCount]:
        if task_id is not None:
            return self._desk.cancel(_one(task_id, which, dry_run=dry_run), reason, wait)
        cancels = Cancels(which)
        return cancels.count(self._desk) if dry_run else cancels.carry_out(self._desk, reason, wait)

    # retrying
    @overload
    def retry(self, task_id: str) -> Handle[Any]: ...

    @overload
    def retry(self, *, dry_run: bool = ..., **which: Unpack[Which]) -> RetryCount: ...

    def retry(
        self, task_id: str | None = None, *, dry_run: bool = False, **which: Unpack[Which]
    ) -> Handle[Any] | RetryCount:
        """Have a failed task tried again, as `Handle.retry` does; or all that fit a filter, and return how many.

        The filter is that of `cancel`; without a `state` what failed is meant, and `state="scheduled"` means those that
        wait for their date. They are retried in steps of 1,000. A `dry_run` counts, and does nothing.

        Raises `OptionInvalid` (also for no filter at all), `ActionInvalid`, `StoreError`.

        >>> handle = send.using(delay="1h").submit("ann@example.com", "hello")
        >>> app.retry(state="scheduled", action="email:send", dry_run=True)
        RetryCount(retried=1, refused=0)
        >>> app.retry(action="email:send", since="1d")
        RetryCount(retried=0, refused=0)
        """
        if task_id is not None:
            return self.handle(_one(task_id, which, dry_run=dry_run)).retry()
        return ask(self._store(), self._retrying(which, dry_run=dry_run))

    @overload
    async def aretry(self, task_id: str) -> Handle[Any]: ...

    @overload
    async def aretry(self, *, dry_run: bool = ..., **which: Unpack[Which]) -> RetryCount: ...

    async def aretry(
        self, task_id: str | None = None, *, dry_run: bool = False, **which: Unpack[Which]
    ) -> Handle[Any] | RetryCount:
        """Like `retry`, from async code."""
        if task_id is not None:
            return await self.handle(_one(task_id, which, dry_run=dry_run)).aretry()
        return await aask(self._store(), self._retrying(which, dry_run=dry_run))

    def _retrying(self, which: Which, *, dry_run: bool) -> Verb[RetryCount]:
        retries = Retries(which)
        return retries.count(self._desk) if dry_run else retries.carry_out(self._desk)

    # pausing
    def pause(self, *, queue: str | None = None, action: str | None = None) -> bool:
        """Have no task of a queue, or of an action, begun until that is resumed; returns whether that is news.

        It holds for all workers, now and later: after one poll (`poll` seconds) at most nothing of it is begun. What
        runs goes on, and what a task that was cancelled owes is cleaned up; tasks are submitted, fall due and can be
        cancelled as always. The name need not be known yet. Raises `OptionInvalid`, `ActionInvalid`, `StoreError`.

        >>> app.pause(action="email:send")
        True
        >>> app.paused()[0].action, next(app.tasks(), None)
        ('email:send', None)
        >>> app.resume(action="email:send")
        True
        """
        return ask(self._store(), self._desk.pause(*paused_by(queue, action)))

    async def apause(self, *, queue: str | None = None, action: str | None = None) -> bool:
        """Like `pause`, from async code."""
        return await aask(self._store(), self._desk.pause(*paused_by(queue, action)))

    def resume(self, *, queue: str | None = None, action: str | None = None) -> bool:
        """End the pause of a queue, or of an action; returns whether there was one. For errors see `pause`."""
        return ask(self._store(), self._desk.resume(*paused_by(queue, action)))

    async def aresume(self, *, queue: str | None = None, action: str | None = None) -> bool:
        """Like `resume`, from async code."""
        return await aask(self._store(), self._desk.resume(*paused_by(queue, action)))

    def paused(self) -> list[PauseInfo]:
        """Return what is paused, and since when. Raises `StoreError`."""
        return ask(self._store(), pauses(self._desk))

    async def apaused(self) -> list[PauseInfo]:
        """Like `paused`, from async code."""
        return await aask(self._store(), pauses(self._desk))

    # keeping it in order
    def backup(
        self, path: str | os.PathLike[str], *, force: bool = False, watch: Callable[[Copied], None] | None = None
    ) -> Backup:
        """Copy the store into one file while others work; return when that is checked, and on the disk for good.

        The file is a store by itself, as of the moment at which the copying began. A file of that name is replaced only
        by `force`, and never while it is in use. `watch` is told how far it is. Raises `OptionInvalid` and
        `StoreError`, and leaves nothing then; `NotAvailable` for a store on a server, which has tools of its own.

        >>> app.submit("email:send", {"to": "ann@example.com", "text": "hello"}).state
        'ready'
        >>> backup = app.backup("backup.db")
        >>> with duly.App("sqlite:///backup.db") as copied:
        ...     print([task.action for task in copied.tasks()])
        ['email:send']
        """
        began = time.monotonic()
        copy = self.place.copy(os.fspath(path), force=force)
        forks.care_for(copy)
        try:
            while copied := copy.step():
                if watch is not None:
                    watch(copied)
            copy.finish()
        finally:
            copy.close()
        return Backup(copy.path, os.path.getsize(copy.path), time.monotonic() - began)

    def copy_to(self, url: str, *, dry_run: bool = False, watch: Callable[[Progress], None] | None = None) -> Carried:
        """Move all that the store keeps to another one, which is empty, of this kind or another; return what that is.

        Nobody may work on it. From the beginning nobody else can write to either store (`StoreMoved`), and at the end
        only to the new one. What was copied is compared with what there is. Interrupted, say the same once more: it
        goes on; `reopen` gives it up. `watch` is told how far it is. A `dry_run` reads all, and changes nothing.

        Raises `OptionInvalid`, `StoreBusy` while somebody works on it, `StoreMoved` and other `StoreError`s.

        >>> app.submit("email:send", {"to": "ann@example.com", "text": "hello"}).state
        'ready'
        >>> [table.rows for table in app.copy_to("sqlite:///new.db").tables if table.name == "tasks"]
        [1]
        >>> app.reopen()
        True
        """
        from duly.engine.mover import Mover, refuse_source  # noqa: PLC0415 - few processes ever move a store

        target = place_of(msgspec.structs.replace(self.config, url=url))
        self._refuse_copy(target)
        with ExitStack() as stack:
            source = stack.enter_context(opened(self.place))
            refuse_source(source, self.place.url)  # before a file is made for nothing
            there = not dry_run or target.exists()
            taker = stack.enter_context(opened(target)) if there else None
            mover = Mover(source, taker, (self.place.url, target.url))
            if dry_run:
                mover.only_look()
            forks.care_for(mover)
            while progress := mover.step():
                if watch is not None:
                    watch(progress)
            return mover.carried()

    def _refuse_copy(self, target: Place) -> None:
        if File(IN_MEMORY) in (self.place, target):
            raise OptionInvalid("a store in memory ends with its process: it is not moved, nor anything to it")
        if target.url == self.place.url:
            raise OptionInvalid(f"{target}: is the store itself; name another one")
        if not self.place.exists():
            raise StoreUnavailable(f"there is no store {self.place}")

    def reopen(self) -> bool:
        """Have the store take tasks again that was closed by `copy_to`; returns whether it was closed.

        Whatever was copied stays where it is: two stores with the same tasks run them twice. Raises `StoreError`.
        """
        from duly.engine.mover import reopen  # noqa: PLC0415 - as above

        return ask(self._store(), call(reopen))

    def migrations(self) -> list[Step]:
        """Return the steps of the store's schema: those that were taken, and those that the next opening takes.

        Nothing is changed by that. Raises `StoreError`, also where there is no file of a store.
        """
        return self.place.steps()

    def migrate(self) -> list[Step]:
        """Take the steps of the schema that are to be taken, as whatever opens the store does; return these."""
        todo = [step for step in self.migrations() if step.applied_at is None]
        self._store().open()
        return todo

    def prune(self, *, dry_run: bool = False) -> Tidied:
        """Empty and remove what has ended long enough ago, as the next worker would; return how many tasks that were.

        It goes in short steps with pauses, so that nobody has to wait. With `dry_run` they are counted alone. For how
        long tasks are kept the workers have said that began last; where none has, the settings of this App do.

        >>> app.prune()
        Tidied(emptied=0, removed=0)
        """
        moment = time.time_ns() // 1000  # what ends from here on is not for this one: so it comes to an end

        keeper, store = Keeper(self._keep(), lambda: moment), self._store()
        if dry_run:
            return ask(store, call(keeper.count))
        while True:
            began = time.monotonic()
            if ask(store, call(keeper.advance)):
                return keeper.tidied
            time.sleep(time.monotonic() - began)

    def kept(self) -> dict[tuple[str, int], Keep]:
        """Return for how long tasks are kept after their end, by (action, version), where a worker has said so."""
        return ask(self._store(), call(noted))

    def examine(self) -> list[Finding]:
        """Look at the store's health; may read all of it. Raises `StoreError`."""

        def look(store: Store) -> list[Finding]:
            move = store.moving()
            return [*store.examine(), *([Finding("move", ok=False, text=f"it {move}")] if move is not None else [])]

        return ask(self._store(), call(look))

    def nodes(self) -> list[tuple[NodeRow, bool]]:
        """Return the nodes that are enlisted, and whether each of them lives. Raises `StoreError`."""

        def look(store: Store) -> list[tuple[NodeRow, bool]]:
            living = store.living()
            return [(node, node.number in living) for node in store.nodes()]

        return ask(self._store(), call(look))

    def stats(self) -> list[Tally]:
        """Count all tasks; reads much, and keeps nobody from writing. Raises `StoreError`."""
        return ask(self._store(), call(lambda store: store.stats()))

    def submitted(self) -> int:
        """Return how many tasks were ever submitted, those that were removed included. Raises `StoreError`."""
        return ask(self._store(), call(lambda store: store.submitted()))

    def lanes(self) -> list[Lane]:
        """Return each queue, action and version that a task was ever submitted for, or a worker served."""
        return ask(self._store(), call(lambda store: store.lanes()))


@contextmanager
def opened(place: Place) -> Iterator[Store]:
    """Open a store for this thread alone."""
    store = place.make_store()
    store.open()
    try:
        yield store
    finally:
        store.close()


def _one(task_id: str, which: Which, *, dry_run: bool) -> str:
    """Return the id of the one task that is meant; raises `OptionInvalid` if others are, too."""
    if which or dry_run:
        raise OptionInvalid("an id means one task: give it alone, or a filter and no id")
    return check_id(task_id)
