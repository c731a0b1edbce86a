import sys
import traceback

import pytest

from duly.runner.failures import MOST_DATA, MOST_TEXT, describe
from duly.wire.runner import Done, decode_from_runner, encode
from tests.runner import targets


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - that is what it is for
        return error
    raise AssertionError("nothing was raised")


def described(function, *args):
    """Describe what a function raises, and see that it can be sent."""
    data = describe(caught(function, *args))
    done = Done(1, 1, 0, "raised", error=data)
    assert decode_from_runner(encode(done)) == done
    return data


@pytest.mark.parametrize(
    "name",
    ["keyboard", "unspeakable", "surrogate", "coded", "big-number", "odd-code", "large", "long", "memory", "base"],
)
def test_any_exception_can_be_described_and_sent(name):
    data = described(targets.raise_named, name)

    assert data.traceback.startswith("Traceback (most recent call last):\n")
    assert len(data.fingerprint) == 16


def test_a_class_without_a_proper_name_can_be_described_and_sent():
    assert described(targets.strange_class, None).message == "strange"


def test_a_hostile_class_can_be_described():
    class Meta(type):
        @property
        def __module__(cls):
            raise RuntimeError("no module")

    class Hostile(Exception, metaclass=Meta):
        @property
        def code(self):
            raise RuntimeError("no code")

        @property
        def __dict__(self):
            raise RuntimeError("no attributes")

        def __str__(self):
            return "hostile"

    data = describe(Hostile())

    assert data.message == "hostile"
    assert (data.code, data.data) == (None, None)


def test_a_text_that_is_too_long_keeps_its_head_and_tail():
    message = described(targets.raise_value_error, "a" * MOST_TEXT + "middle" + "z" * MOST_TEXT).message

    assert len(message) < MOST_TEXT + 100
    assert message[0] == "a"
    assert message[-1] == "z"
    assert "characters left out" in message


def test_a_traceback_of_very_many_lines_stays_short_and_ends_where_it_was_raised():
    limit = sys.getrecursionlimit()
    try:
        data = described(targets.recurse_deeply, None)
    finally:
        sys.setrecursionlimit(limit)  # with the one it sets, msgspec would overflow the stack

    assert len(data.traceback) <= MOST_TEXT + 100
    assert data.traceback.rstrip().endswith("ValueError: at the bottom")


def test_a_long_chain_of_causes_stays_short():
    error = ValueError("first")
    for number in range(500):
        error.__cause__, error = None, type("Next", (Exception,), {})(number).with_traceback(None)
        error.__context__ = ValueError("before")

    assert len(describe(error).traceback) <= MOST_TEXT + 100


def test_attributes_are_kept_as_json_while_there_is_room():
    data = described(targets.raise_named, "large").data

    assert data == {"small": "s", "last": "l"}
    assert len("x" * 20_000) > MOST_DATA


def test_an_attribute_that_is_no_json_does_not_cost_the_others():
    assert described(targets.raise_named, "coded").data == {"status": 503, "answers": [1, 2]}


def test_numbers_that_cannot_be_sent_are_left_out():
    data = described(targets.raise_named, "big-number")

    assert (data.code, data.data) == (None, None)


@pytest.mark.parametrize(("code", "kept"), [("E1", "E1"), (5, 5), (True, None), (1.5, None), ("x" * 201, None)])
def test_a_code_is_a_short_text_or_a_number(code, kept):
    assert described(_raise_coded, code).code == kept


def _raise_coded(code):
    raise targets.Coded("coded", code=code)


def test_alike_errors_of_one_place_have_one_fingerprint():
    first, second = (described(targets.raise_value_error, f"number {n}") for n in (1, 22))

    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != described(targets.raise_named, "long").fingerprint


def test_the_text_is_what_python_would_show():
    error = caught(targets.raise_with_cause, None)

    assert describe(error).traceback == "".join(traceback.format_exception(error))
