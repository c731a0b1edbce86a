"""What every run under faults begins with."""

from __future__ import annotations

import sys

import pytest

from tests.faults.run import Run


@pytest.fixture
def run() -> Run:
    run = Run()
    sys.stdout.write(f"{run}\n")  # pytest shows it with a failure
    return run
