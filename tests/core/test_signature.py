import dataclasses
import enum
import inspect
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.signature import Signature
from duly.errors import ActionInvalid, PayloadInvalid

PLENTY = 10_000


class Context:
    pass


class Kind(enum.Enum):
    PLAIN = "plain"


@dataclasses.dataclass
class Mail:
    to: list[str]
    at: datetime | None = None


class Point:
    """It dumps and validates itself, as pydantic's models do."""

    def __init__(self, x: int) -> None:
        self.x = x

    def model_dump(self, mode):
        assert mode == "json"
        return {"x": self.x}

    @classmethod
    def model_validate(cls, value):
        if not isinstance(value, dict) or not isinstance(value.get("x"), int):
            raise ValueError("x is no number")  # noqa: TRY004 - as pydantic's ValidationError is one
        return cls(value["x"])


def send(task: Context, emails: list[str], template: str = "plain", *, kind: Kind = Kind.PLAIN) -> int: ...
async def fetch(url: str): ...
def nothing(): ...
def place(a: int, b: int = 2, /, c: int = 3, *, d: int = 4): ...
def untyped(value): ...
def two(a: int, b: int): ...
def bulk(mail: Mail): ...
def plot(point: Point): ...


def signature(function):
    return Signature(function, Context)


def called(function, *args, **kwargs):
    """Send a call through JSON, and return what the function would get, by name."""
    read = signature(function)
    args, kwargs = read.decode(read.encode(args, kwargs, PLENTY))
    first = (Context(),) if read.takes_context else ()
    return dict(inspect.signature(function).bind(*first, *args, **kwargs).arguments)


def refused(function, *args, **kwargs):
    with pytest.raises(PayloadInvalid) as caught:
        signature(function).encode(args, kwargs, PLENTY)
    return str(caught.value)


def misread(function, payload):
    with pytest.raises(PayloadInvalid) as caught:
        signature(function).decode(payload)
    return caught.value


def test_the_context_is_the_first_parameter_of_its_class_and_no_part_of_the_payload():
    assert signature(send).takes_context
    assert json.loads(signature(send).encode((["a"],), {}, PLENTY)) == {"emails": ["a"]}
    assert not signature(fetch).takes_context


def test_whether_it_is_awaited():
    assert signature(fetch).is_async
    assert not signature(send).is_async


@given(
    st.integers(-9, 9),
    st.integers(-9, 9) | st.none(),
    st.integers(-9, 9) | st.none(),
    st.integers(-9, 9) | st.none(),
    st.booleans(),
)
def test_arguments_arrive_as_they_were_given_and_defaults_are_the_handlers_own(a, b, c, d, by_name):
    args = [a] if b is None else [a, b]
    kwargs = {name: value for name, value in (("c", c), ("d", d)) if value is not None}
    if not by_name and b is not None and c is not None:
        args.append(kwargs.pop("c"))
    expected = inspect.signature(place).bind(*args, **kwargs)
    expected.apply_defaults()
    read = signature(place)
    positional, named = read.decode(read.encode(tuple(args), kwargs, PLENTY))
    got = inspect.signature(place).bind(*positional, **named)
    got.apply_defaults()
    assert got.arguments == expected.arguments


def test_what_a_submitter_leaves_out_is_not_in_the_payload():
    assert signature(place).encode((1,), {}, PLENTY) == '{"a":1}'
    assert signature(place).decode('{"a":1}') == ((1, 2), {})
    assert signature(place).decode('{"a":1,"d":9}') == ((1, 2), {"d": 9})


def test_types_are_the_same_on_both_sides():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert called(bulk, Mail(["ann"], at)) == {"mail": Mail(["ann"], at)}
    assert called(bulk, {"to": ["ann"]}) == {"mail": Mail(["ann"])}
    assert called(send, ["ann"], kind=Kind.PLAIN)["kind"] is Kind.PLAIN
    assert called(plot, Point(3))["point"].x == 3
    assert called(untyped, {"any": [1, None]}) == {"value": {"any": [1, None]}}


def test_a_call_that_the_handler_would_not_take_is_refused_and_says_why():
    assert "takes 2 positional arguments, not 3" in refused(send, ["a"], "plain", "more")
    assert "send has no parameter 'emial'" in refused(send, emial=[])
    assert "send got two values for 'emails'" in refused(send, ["a"], emails=["b"])
    assert "two is missing 'a', 'b'" in refused(two)
    assert "at $.emails[1]" in refused(send, ["a", 3])
    assert "Invalid enum value 'fancy' at $.kind" in refused(send, ["a"], kind="fancy")
    assert "at $.mail.to" in refused(bulk, {"to": "ann"})
    assert "x is no number" in refused(plot, {"x": "3"})
    assert "a Context is not a JSON value at $.value" in refused(untyped, Context())
    assert "nan is not a JSON number at $.value[0]" in refused(untyped, [float("nan")])
    assert "more than the 10,000 that are taken" in refused(untyped, "a" * PLENTY)


def test_a_payload_that_came_by_name_is_checked_just_so():
    assert misread(two, '{"a":1,"b":"2"}').path == "$.b"
    assert "missing required field `b`" in str(misread(two, '{"a":1}'))
    assert "unknown field `c`" in str(misread(two, '{"a":1,"b":2,"c":3}'))
    assert "not JSON" in str(misread(two, '{"a":1'))
    assert "not JSON" in str(misread(untyped, "[" * 5_000))


@given(st.integers() | st.text() | st.lists(st.integers()) | st.booleans() | st.none())
def test_a_payload_that_is_no_object_is_that_of_the_only_required_parameter(value):
    assert signature(untyped).decode(json.dumps(value)) == ((), {"value": value})


def test_it_needs_just_one_required_parameter():
    assert signature(send).decode('["ann"]') == ((), {"emails": ["ann"]})
    assert signature(place).decode("7") == ((7, 2), {})
    for payload in ("1", "null"):
        assert "two has 2 required parameters" in str(misread(two, payload))
    assert "nothing has 0 required parameters" in str(misread(nothing, "1"))


def test_null_is_the_payload_of_who_needs_nothing():
    assert signature(nothing).decode("null") == signature(nothing).decode("{}") == ((), {})
    assert signature(nothing).encode((), {}, PLENTY) == "{}"


def test_each_argument_has_a_name_of_its_own():
    def many(*values): ...
    def named(**values): ...

    for function in (many, named):
        with pytest.raises(ActionInvalid, match=r"many: \*values|named: \*\*values"):
            signature(function)


def test_the_context_stands_first_or_nowhere():
    def late(a: int, task: Context): ...
    def only_by_name(*, task: Context): ...

    for function in (late, only_by_name):
        with pytest.raises(ActionInvalid, match="task: Context must be the first parameter"):
            signature(function)


def test_annotations_that_cannot_be_read_are_an_error_where_the_handler_is_declared():
    def unknown(a: "Nowhere"): ...  # noqa: F821
    def ambiguous(a: Mail | Point | Literal["x"]): ...

    with pytest.raises(ActionInvalid, match="unknown: its annotations cannot be read: name 'Nowhere' is not defined"):
        signature(unknown)
    with pytest.raises(ActionInvalid, match="cannot be read from JSON"):
        signature(ambiguous)
    with pytest.raises(ActionInvalid, match="annotations cannot be read"):
        signature(3)


def test_what_json_cannot_make_is_refused():
    def take(context: list[Context]): ...

    assert "a Context cannot be made from JSON" in refused(take, [{}])


def test_any_annotation_may_have_a_default():
    def loose(a: Any = 1, b: object = 2, c: Annotated[int, msgspec.Meta(ge=0)] = 3, d: None = None, e=5): ...

    assert signature(loose).decode("{}") == ((), {})
    everything = {"a": [1], "b": {"x": 1}, "c": 0, "d": None, "e": "e"}
    assert called(loose, **everything) == everything
    assert "at $.c" in refused(loose, c=-1)
