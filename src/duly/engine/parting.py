"""How a node parts from its store: struck off, or else left for others to find dead, who rescue what it held."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from duly.engine.asking import ask, call
from duly.engine.storethread import StoreThread
from duly.errors import PASSING, StoreError
from duly.ports import Store

log = logging.getLogger("duly.node")


class Parting:
    """One node's end. `tell` has something done in its loop.

    `begun`: the store is told no more; `done`: nothing more is to be waited for.
    """

    def __init__(self, thread: StoreThread, tell: Callable[[Callable[[], None]], None]) -> None:
        self._thread = thread
        self._tell = tell
        self.begun = self.done = False

    def leave(self, number: int) -> None:
        """Have this node struck off when all is told; raises in its loop what the store raises."""
        self.begun = True

        def left(_: Any, error: BaseException | None) -> None:
            self._tell(lambda: self._left(number, error))

        self._thread.post(lambda store: _strike_off(store, number), left)

    def _left(self, number: int, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, PASSING):
            raise error
        if error is not None:
            self._abandon(number)
        self.done = True

    def leave_untold(self, number: int) -> None:
        """Go, though something keeps the store from being reached or written."""
        log.error("the store cannot be written, and this node leaves; what it could not tell will be done again")
        self._abandon(number)
        self.begun = self.done = True

    def give_up(self, number: int, *, told: bool) -> None:
        """Be a node no more after an error. Where the store can be `told`, nobody needs to find this one dead."""
        if number == 0:
            return
        if told:
            with suppress(StoreError):
                ask(self._thread, call(lambda store: _strike_off(store, number)))
                return
        self._abandon(number)

    def _abandon(self, number: int) -> None:
        def abandon(store: Store) -> None:
            try:
                store.abandon(number)  # whatever comes of it: from now on this store lives on as that node no more
            finally:
                store.tidy(wanted=False)

        self._thread.post(abandon, lambda _result, _error: None)


def _strike_off(store: Store, number: int) -> None:
    store.tidy(wanted=False)
    store.leave(number)
