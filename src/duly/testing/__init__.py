"""What whoever writes a store for duly can hold it against: the contract of the port, as plain functions."""

from duly.testing.store_checks import CHECKS, check_store
from duly.testing.store_hands import Check

__all__ = ["CHECKS", "Check", "check_store"]
