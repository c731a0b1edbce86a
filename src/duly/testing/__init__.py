"""Help for tests: of programs that use duly, and of stores written for it.

Run tasks with `run_until_idle`, ask for them by `assert_submitted`, and hold a store against its contract by
`check_store`. With pytest the fixtures `duly_app`, `duly_worker`, `run_until_idle` and `assert_submitted` are there as
soon as duly is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duly.testing.clock import FakeClock as FakeClock
    from duly.testing.store_checks import CHECKS as CHECKS
    from duly.testing.store_checks import check_store as check_store
    from duly.testing.store_hands import Check as Check
    from duly.testing.users import assert_submitted as assert_submitted
    from duly.testing.users import run_until_idle as run_until_idle

_PLACES = {
    "FakeClock": "clock",
    "CHECKS": "store_checks",
    "check_store": "store_checks",
    "Check": "store_hands",
    "assert_submitted": "users",
    "run_until_idle": "users",
}

__all__ = sorted(_PLACES)  # noqa: PLE0605 - the names are those above


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: pytest loads this package in everybody's runs."""
    if name not in _PLACES:
        raise AttributeError(f"module 'duly.testing' has no attribute {name!r}")
    return getattr(import_module(f"duly.testing.{_PLACES[name]}"), name)
