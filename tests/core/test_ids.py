import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.ids import is_task_id, uuid7

moments = st.integers(0, 2**48 - 1)
dice = st.binary(min_size=10, max_size=10)


@given(moments, dice)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_moment_and_74_bits_of_chance(moment, chance):
    text = uuid7(moment, chance)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == moment
    first, rest = int.from_bytes(chance[:2]), int.from_bytes(chance[2:])
    assert (parsed.int >> 64) & 0xFFF == first & 0xFFF
    assert parsed.int & (2**62 - 1) == rest & (2**62 - 1)
    assert is_task_id(text)


@given(st.tuples(moments, moments), dice, dice)
def test_ids_made_later_sort_later(two, first, second):
    early, late = sorted(two)
    if early < late:
        assert uuid7(early, first) < uuid7(late, second)


def test_the_example_of_the_standard():
    # RFC 9562, appendix A.6: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    chance = (0xCC3).to_bytes(2) + 0x18C4DC0C0C07398F.to_bytes(8)
    assert uuid7(0x017F22E279B0, chance) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "018bcfe5-6800-7000-8000-00000000000",
        "018bcfe5-6800-7000-8000-0000000000000",
        "018bcfe5-6800-7000-8000-000000000000\n",
        "018BCFE5-6800-7000-8000-00000000000A",
        "018bcfe568007000800000000000000",
        "018bcfe5-6800-4000-8000-000000000000",
        "018bcfe5-6800-7000-c000-000000000000",
        "g18bcfe5-6800-7000-8000-000000000000",
    ],
)
def test_other_text_is_no_id(text):
    assert not is_task_id(text)
