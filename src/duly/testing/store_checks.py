"""The contract of the store port, check by check."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from duly.ports import Store
from duly.testing import (
    store_cancels,
    store_children,
    store_holders,
    store_moves,
    store_nodes,
    store_order,
    store_pauses,
    store_retries,
    store_upkeep,
    store_users,
)
from duly.testing.clock import FakeClock
from duly.testing.store_hands import Check, Hands

CHECKS: tuple[Check, ...] = (
    *store_order.CHECKS,
    *store_holders.CHECKS,
    *store_children.CHECKS,
    *store_cancels.CHECKS,
    *store_retries.CHECKS,
    *store_nodes.CHECKS,
    *store_pauses.CHECKS,
    *store_upkeep.CHECKS,
    *store_moves.CHECKS,
    *store_users.CHECKS,
)
"""All of it; each takes hands on a new, empty, open store."""


def check_store(
    open_store: Callable[[], Store],
    checks: Sequence[Check] | None = None,
    *,
    clock: FakeClock | None = None,
    beside: Callable[[Store], Store] | None = None,
) -> None:
    """Hold a store against the contract; raises `AssertionError` at the first check that it does not pass.

    `open_store` returns a new, empty store each time, already open; it is closed afterwards.
    `checks` are some of `CHECKS`, else all. `clock` is what stores were made to take the time from, if they were: the
    checks move it, where they would wait a moment otherwise. `beside` opens the store that it is given once more, as
    another process would; without it nothing is said about several users of one store.

    >>> from duly.store.sqlite.store import SqliteStore
    >>> clock = FakeClock()
    >>> def open_store():
    ...     store = SqliteStore(":memory:", clock)
    ...     store.open()
    ...     return store
    >>> check_store(open_store, CHECKS[:9], clock=clock)
    """
    for check in CHECKS if checks is None else checks:
        store = open_store()
        try:
            check(Hands(store, clock, beside, open_store))
        finally:
            store.close()
