"""P5: a memory limit holds; the end is named, with the peak."""

from __future__ import annotations

import re

import pytest

import duly


def test_a_task_that_eats_memory_is_stopped_and_told_so(place):
    place.start()
    with pytest.raises(duly.OutOfMemory) as caught:
        place.app.submit("shop:eat", 4096).result(timeout=60)
    assert caught.value.cause == "memory"
    assert 60 * 2**20 < caught.value.peak < 400 * 2**20
    assert re.search(r"\d+ MiB", str(caught.value))


def test_a_task_below_its_limit_is_left_alone(place):
    place.start()
    assert place.app.submit("shop:eat", 20).result(timeout=60) == 20


def test_the_memory_of_one_task_is_not_charged_to_the_next(place):
    place.start("--concurrency", "1")
    tasks = [place.app.submit("shop:eat", 45) for _ in range(6)]
    assert [task.result(timeout=60) for task in tasks] == [45] * 6
