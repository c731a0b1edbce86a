"""The contract of the store port, check by check."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from duly.ports import Store
from duly.testing import (
    store_cancels,
    store_children,
    store_holders,
    store_nodes,
    store_order,
    store_pauses,
    store_retries,
    store_upkeep,
)
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
)
"""All of it; each takes hands on a new, empty, open store."""


def check_store(open_store: Callable[[], Store], checks: Sequence[Check] | None = None) -> None:
    """Hold a store against the contract; raises `AssertionError` at the first check that it does not pass.

    `open_store` is called once for each check and returns a new, empty store, already open; it is closed afterwards.
    """
    for check in CHECKS if checks is None else checks:
        store = open_store()
        try:
            check(Hands(store))
        finally:
            store.close()
