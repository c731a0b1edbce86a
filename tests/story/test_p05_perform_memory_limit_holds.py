"""P5: a memory limit holds; the end is named `memory`, with the peak."""

import os

import pytest

import duly
from tests.runner import targets

MIB = 2**20


@pytest.mark.parametrize(
    ("target", "size"),
    [
        (targets.eat, 2_000 * MIB),
        (targets.eat_in_a_child, 200 * MIB),
        (targets.allocate, 3_000 * MIB),
        (targets.allocate_and_keep, 10_000),
        (targets.allocate_and_keep, 10 * MIB),
    ],
)
def test_it_holds_against(target, size):
    with pytest.raises(duly.OutOfMemory) as caught:
        duly.perform(target, size, memory=64 * MIB, timeout=60)

    assert (caught.value.code, caught.value.cause) == ("memory", "memory")
    assert 0 < caught.value.peak < 1_000 * MIB


def test_it_counts_what_the_code_uses_and_not_what_its_process_did_before():
    assert duly.perform(targets.text_of, 1_000_000, memory=16 * MIB).ok


def test_what_its_caller_holds_is_not_counted():
    held = os.urandom(100 * MIB)

    assert duly.perform(targets.length, "x" * 1000, memory=16 * MIB).value == 1000
    assert len(held) == 100 * MIB
