import dataclasses
import enum
import json
import math
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core import jsonvalue
from duly.errors import PayloadInvalid

PLENTY = 1_000_000
unicode = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | unicode
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(unicode, inner), max_leaves=20)
strange = st.sampled_from([math.nan, math.inf, -math.inf, "\ud800", "a\udfff", object(), 1j])


@dataclasses.dataclass
class Mail:
    to: object


class Letter(msgspec.Struct):
    to: object


class Model:
    """It dumps itself, as pydantic's models do."""

    def __init__(self, **fields):
        self.fields = fields


def models(value):
    if isinstance(value, Model):
        return value.fields
    raise NotImplementedError


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


def nested(depth, kind="["):
    return "[" * depth + "]" * depth if kind == "[" else '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


@given(values)
def test_a_json_value_comes_back_as_it_was_given(value):
    data = jsonvalue.dump_given(value, PLENTY)
    assert data == jsonvalue.dump(value, PLENTY)
    assert jsonvalue.load(data) == json.loads(data) == value


def wrapped(value, path):
    """Put a value into lists, objects and models, one for each step."""
    for step in reversed(path):
        value = {"list": [0, value], "dict": {"k": value}, "data": Mail(value), "struct": Letter(value)}.get(
            step, Model(m=value)
        )
    return value


STEPS = {"list": "[1]", "dict": ".k", "data": ".to", "struct": ".to", "model": ".m"}


@given(strange, st.lists(st.sampled_from(["list", "dict"]), max_size=6))
def test_what_json_cannot_carry_is_refused_with_the_path_to_it(value, path):
    with pytest.raises(PayloadInvalid) as caught:
        jsonvalue.dump_given(wrapped(value, path), PLENTY)
    assert caught.value.path == "$" + "".join(STEPS[step] for step in path)


@given(st.sampled_from([math.nan, -math.inf, "\ud800"]), st.lists(st.sampled_from(sorted(STEPS)), max_size=6))
def test_it_is_found_inside_models_too(value, path):
    with pytest.raises(PayloadInvalid) as caught:
        jsonvalue.dump(wrapped(value, path), PLENTY, models)
    assert caught.value.path == "$" + "".join(STEPS[step] for step in path)


def test_what_knows_how_to_be_json_is_encoded():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    value = {"mail": Mail("ann"), "letter": Letter([at]), "id": UUID(int=7), "model": Model(a=Model(b=Colour.RED))}
    assert json.loads(jsonvalue.dump(value, PLENTY, models)) == {
        "mail": {"to": "ann"},
        "letter": {"to": ["2026-01-01T00:00:00Z"]},
        "id": "00000000-0000-0000-0000-000000000007",
        "model": {"a": {"b": 1}},
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1}, "a set is not a JSON value"),
        ({"a": b"x"}, r"a bytes is not a JSON value at \$\.a"),
        ([Mail("ann")], r"a Mail is not a JSON value at \$\[0\]"),
        ({1: 2}, "the key 1 is not text"),
        ({"a": {None: 2}}, r"the key None is not text at \$\.a"),
        ({"\ud800": 1}, "lone surrogate"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], r"a datetime is not a JSON value at \$\[0\]"),
        ({"colour": Colour.RED, "tags": {1}}, r"a set is not a JSON value at \$\.tags"),
    ],
)
def test_what_would_come_back_as_something_else_is_no_json_value(value, message):
    with pytest.raises(PayloadInvalid, match=message):
        jsonvalue.dump_given(value, PLENTY)


@pytest.mark.parametrize(
    "value", [(1, (2,)), {"a": (Colour.RED, ())}, Colour.RED, {"n": None, "t": "null"}, {Name("a"): 1}]
)
def test_tuples_and_names_for_numbers_are_json_values(value):
    assert jsonvalue.load(jsonvalue.dump_given(value, PLENTY)) == json.loads(json.dumps(value))


def test_a_subclass_that_cannot_be_encoded_is_shown_by_its_path():
    with pytest.raises(PayloadInvalid, match=r"a Name is not a JSON value at \$\.to\[1\]"):
        jsonvalue.dump({"to": ["ann", Name("ben")]}, PLENTY)


@pytest.mark.parametrize("kind", "[{")
def test_64_levels_are_taken_and_65_are_not(kind):
    deepest = nested(jsonvalue.MOST_DEPTH, kind)
    too_deep = nested(jsonvalue.MOST_DEPTH + 1, kind)
    assert jsonvalue.dump_given(json.loads(deepest), PLENTY) == deepest.encode()
    jsonvalue.check(deepest.encode(), PLENTY)
    with pytest.raises(PayloadInvalid, match="nested deeper than 64 levels"):
        jsonvalue.dump_given(json.loads(too_deep), PLENTY)
    with pytest.raises(PayloadInvalid, match="nested deeper than 64 levels"):
        jsonvalue.check(too_deep.encode(), PLENTY)


def test_a_value_that_holds_itself_is_too_deep():
    endless = []
    endless.append(endless)
    for dump in (jsonvalue.dump, jsonvalue.dump_given):
        with pytest.raises(PayloadInvalid, match="nested deeper"):
            dump(endless, PLENTY)
    model = Model()
    model.fields["self"] = model
    with pytest.raises(PayloadInvalid, match="nested deeper"):
        jsonvalue.dump(model, PLENTY, models)


def test_below_the_deepest_level_nothing_is_looked_for():
    value = object()
    for _ in range(jsonvalue.MOST_DEPTH + 1):
        value = [value]
    with pytest.raises(PayloadInvalid, match="nested deeper"):
        jsonvalue.dump(value, PLENTY)


@given(st.text('[{]}"\\\\'), st.integers(0, 100))
def test_brackets_side_by_side_or_in_text_are_not_depth(text, count):
    jsonvalue.check(jsonvalue.dump([[["[{" * 40 + text, {text: []}]] * count], PLENTY), PLENTY)


def test_too_large_is_said_with_both_figures():
    assert jsonvalue.dump("a" * 998, 1_000)
    with pytest.raises(PayloadInvalid, match="1,001 bytes of JSON are more than the 1,000 that are taken"):
        jsonvalue.dump("a" * 999, 1_000)
    with pytest.raises(PayloadInvalid, match="11 bytes of JSON are more than the 10"):
        jsonvalue.check(b'"123456789"', 10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nope",
        "[1,]",
        "[NaN]",
        "Infinity",
        '"\\ud800"',
        b'"\xff"',
        "\ud800",
        "1e999",
        '{"a"}',
        "[" * 100_000,
        "1" * 5_000,
    ],
)
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(PayloadInvalid, match="not JSON"):
        jsonvalue.load(text)


@given(st.text() | st.binary())
def test_whatever_comes_from_outside_is_read_or_refused(text):
    try:
        value = jsonvalue.load(text)
    except PayloadInvalid:
        return
    assert jsonvalue.load(jsonvalue.dump_given(value, PLENTY)) == value


@given(st.text('[{]}"\\\\n'), st.text('[{]}"\\\\n'))
def test_brackets_in_text_hide_no_depth(before, after):
    value = []
    for _ in range(jsonvalue.MOST_DEPTH):
        value = [before, value, after]
    with pytest.raises(PayloadInvalid, match="nested deeper"):
        jsonvalue.check(json.dumps(value).encode(), PLENTY)
    jsonvalue.check(json.dumps(value[1]).encode(), PLENTY)
