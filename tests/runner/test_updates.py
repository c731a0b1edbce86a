"""What a task tells of its progress: seldom enough, always the last, and nothing that is no JSON."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import msgspec
import pytest

from duly.errors import PayloadInvalid
from duly.runner.context import Task
from duly.runner.updates import MOST_UPDATE, UPDATE_SECONDS, ByThread, Updates
from duly.wire.runner import Said, Work
from tests.helpers import eventually

WORK = Work(1, 7, 0, "t", 1, "null", None, None, 0, "", None, None)


class Sent:
    """What was sent, and when."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.said: list[Any] = []

    def __call__(self, said: Said) -> None:
        self.at.append(time.monotonic())
        self.said.append(msgspec.json.decode(said.body))


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def updates(sent: Sent) -> Updates:
    return Updates(WORK, sent, ByThread())


def test_the_first_is_sent_at_once_and_of_many_soon_after_it_the_last(updates: Updates, sent: Sent) -> None:
    for number in range(100):
        updates.tell({"data": number})
    assert sent.said == [{"data": 0}]
    eventually(lambda: len(sent.said) == 2)
    assert sent.said[1] == {"data": 99}
    assert sent.at[1] - sent.at[0] >= UPDATE_SECONDS
    updates.end()
    assert len(sent.said) == 2


def test_however_many_are_told_at_most_ten_a_second_are_sent_and_the_last_one_is(updates: Updates, sent: Sent) -> None:
    until, number, pause = time.monotonic() + 5.5 * UPDATE_SECONDS, 0, threading.Event()
    while time.monotonic() < until:
        number += 1
        updates.tell({"data": number})
        pause.wait(0.001)
    updates.end()
    assert sent.said[-1] == {"data": number}
    assert len(sent.said) <= 8
    gaps = [later - sooner for sooner, later in zip(sent.at[:-2], sent.at[1:-1], strict=True)]
    assert min(gaps) >= UPDATE_SECONDS, "but for the last, which does not wait"


def test_what_was_kept_back_is_sent_with_the_end_and_nothing_after_it(updates: Updates, sent: Sent) -> None:
    threads = threading.active_count()
    updates.tell({"data": 1})
    updates.tell({"data": 2})
    updates.end()
    assert sent.said == [{"data": 1}, {"data": 2}]
    assert threading.active_count() == threads


@pytest.mark.parametrize("data", [math.nan, {"x": math.inf}, {1, 2}, b"x", "x" * MOST_UPDATE, {1: 2}])
def test_what_is_no_json_or_too_large_is_refused_and_forgotten(updates: Updates, sent: Sent, data: Any) -> None:
    updates.tell({"data": "good"})
    with pytest.raises(PayloadInvalid):
        updates.tell({"data": data})
    updates.end()
    assert sent.said == [updates.latest] == [{"data": "good"}]


@pytest.mark.parametrize("fraction", [-0.01, 1.01, math.nan, "half", True])
def test_a_fraction_lies_between_0_and_1(fraction: Any) -> None:
    with pytest.raises(PayloadInvalid, match="fraction"):
        Task.update(None, fraction=fraction)  # type: ignore[arg-type]  # it is refused before anything is used


def test_a_message_is_text() -> None:
    with pytest.raises(PayloadInvalid, match="message"):
        Task.update(None, message=5)  # type: ignore[arg-type]
