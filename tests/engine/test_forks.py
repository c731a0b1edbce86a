from __future__ import annotations

import pytest

from duly.engine import forks


class Stubborn:
    """Something that may not come to rest."""

    def __init__(self, *, comes_to_rest: bool) -> None:
        self.told: list[str] = []
        self._comes_to_rest = comes_to_rest
        forks.care_for(self)

    def before_fork(self) -> None:
        self.told.append("rest")
        if not self._comes_to_rest:
            raise RuntimeError("no rest")

    def after_fork(self) -> None:
        self.told.append("go on")
        if not self._comes_to_rest:
            raise RuntimeError("no way on")


def test_all_come_to_rest_and_go_on_though_some_fail() -> None:
    """Or a store would be open while the process is copied, and whoever comes next would wait for ever."""
    cared = [Stubborn(comes_to_rest=number % 2 == 0) for number in range(10)]
    with pytest.raises(RuntimeError, match="no rest"):
        forks._before()
    with pytest.raises(RuntimeError, match="no way on"):
        forks._after()
    assert [one.told for one in cared] == [["rest", "go on"]] * 10
    assert not forks._lock.locked()
