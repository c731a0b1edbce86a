"""Declaring actions, and what may be said of a task: what is refused, and how."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

import duly
from duly.action import Action, spec_of
from duly.core.options import with_options
from duly.core.passport import Options
from duly.errors import ActionInvalid, NotAvailable, OptionInvalid, PayloadInvalid


@pytest.fixture
def app() -> Iterator[duly.App]:
    with duly.App("sqlite:///:memory:") as app:
        yield app


def send(to: str, text: str = "hello") -> str:
    """Send a letter."""
    return f"{to}: {text}"


# declaring


def test_a_declared_action_stays_the_plain_function_it_was(app: duly.App) -> None:
    action = app.action("mail:send")(send)
    assert action("ann", text="hi") == "ann: hi"
    assert (action.__name__, action.__doc__) == ("send", "Send a letter.")
    assert (action.name, action.version) == ("mail:send", 1)
    assert repr(action) == "<duly.Action mail:send>"
    assert (action.target.attribute, action.target.name) == ("send", "mail:send")


def test_an_action_is_declared_once_in_each_version(app: duly.App) -> None:
    app.action("mail:send")(send)
    app.action("mail:send", version=2)(send)
    with pytest.raises(ActionInvalid, match="mail:send version 2 is declared already"):
        app.action("mail:send", version=2)(send)
    assert [action.version for action in app.actions] == [1, 2]


def test_a_declared_action_can_be_declared_again_under_another_name(app: duly.App) -> None:
    again = app.action("mail:resend")(app.action("mail:send")(send))  # type: ignore[type-var]
    assert again("ann") == "ann: hello"
    assert again.target.name == "mail:resend"


def nested() -> Any:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize("function", [nested(), lambda: None, partial(send, "ann"), 5])
def test_what_another_process_could_not_find_is_no_handler(app: duly.App, function: Any) -> None:
    with pytest.raises(ActionInvalid, match="mail:send"):
        app.action("mail:send")(function)
    assert not app.actions


def test_a_function_typed_at_a_prompt_is_no_handler() -> None:
    typed = """
import duly
def typed(): ...
try:
    duly.App("sqlite:///:memory:").action("mail:send")(typed)
except duly.ActionInvalid as error:
    print("refused:", error)
"""
    said = subprocess.run([sys.executable], input=typed, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert said.stdout.startswith("refused: mail:send")


BAD: list[dict[str, Any]] = [
    {"name": "no colon"},
    {"name": ""},
    {"version": 0},
    {"version": True},
    {"version": 1.5},
    {"queue": ""},
    {"priority": "urgent"},
    {"timeout": 0},
    {"timeout": "soon"},
    {"timeout": -1},
    {"grace": -1},
    {"memory": "much"},
    {"isolation": "none"},
    {"max_attempts": 0},
    {"max_attempts": True},
    {"retry": 5},
    {"demote_after": -1},
    {"demote_after": True},
    {"keep": "a while"},
    {"keep": -1},
    {"keep_failed": "a while"},
    {"unknown": 1},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_a_declaration_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ActionInvalid, OptionInvalid)):
        spec_of(**{"name": "mail:send", **wrong})


@pytest.mark.parametrize("name", ["unique", "limit", "expires", "replayable"])
def test_what_is_to_come_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(NotAvailable, match=f"{name}= is not in this release yet"):
        spec_of("mail:send", **{name: 1})


@pytest.mark.parametrize("isolation", ["process", "fresh", "shared"])
def test_there_are_three_kinds_of_isolation(isolation: Any) -> None:
    assert spec_of("mail:send", isolation=isolation).isolation == isolation


def test_what_shares_a_process_has_no_memory_limit_of_its_own() -> None:
    with pytest.raises(OptionInvalid, match="'process' has one"):
        spec_of("mail:send", isolation="shared", memory="1GiB")


def test_a_declaration_is_read_in_the_units_people_write() -> None:
    spec = spec_of("mail:send", timeout="2m", grace=0, memory="1MiB", max_attempts=1, demote_after=0)
    policy = spec.policy
    assert (policy.timeout, policy.grace, policy.memory) == (120.0, 0.0, 2**20)
    assert (policy.max_attempts, policy.demote_after, policy.retry) == (1, 0, duly.Backoff())
    assert spec_of("mail:send", timeout=None).policy.timeout is None


# options


def test_options_change_only_what_they_say() -> None:
    base = Options(queue="slow", priority="low", timeout=3.0)
    assert with_options(base, datetime.now(UTC)) == base
    changed = with_options(base, datetime.now(UTC), priority="high", front=True, max_attempts=2, queue="fast")
    assert changed == Options(queue="fast", priority="high", front=True, timeout=3.0, max_attempts=2)
    assert with_options(base, datetime.now(UTC), timeout=None).timeout is None
    assert with_options(Options(), datetime.now(UTC)).timeout is msgspec.UNSET


def test_a_date_can_be_said_as_a_moment_or_as_a_delay() -> None:
    moment = datetime(2040, 1, 1, tzinfo=UTC)
    assert with_options(Options(), datetime.now(UTC), run_at=moment).run_at == round(moment.timestamp() * 1e6)


def test_what_is_said_as_a_length_is_left_to_the_clock_of_the_store() -> None:
    for length in ("10m", 600, timedelta(minutes=10)):
        assert with_options(Options(), datetime.now(UTC), delay=length) == Options(delay=600.0)
        assert with_options(Options(), datetime.now(UTC), run_at=length) == Options(delay=600.0)
    assert with_options(Options(), datetime.now(UTC), run_at=-5) == Options(delay=0.0)
    dated = with_options(Options(delay=600.0), datetime.now(UTC), run_at="2040-01-01T00:00Z")
    assert dated.delay is None
    assert with_options(dated, datetime.now(UTC), delay=3) == Options(delay=3.0)


WRONG: list[dict[str, Any]] = [
    {"priority": "urgent"},
    {"queue": ""},
    {"run_at": "tomorrow-ish"},
    {"run_at": 1, "delay": 1},
    {"delay": "soon"},
    {"timeout": 0},
    {"max_attempts": 0},
    {"unknown": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_option_that_cannot_be_read_is_refused_and_nothing_is_stored(app: duly.App, wrong: dict[str, Any]) -> None:
    action = app.action("mail:send")(send)
    with pytest.raises((OptionInvalid, ActionInvalid)):
        action.using(**wrong)
    with pytest.raises((OptionInvalid, ActionInvalid)):
        app.submit("mail:send", "ann", **wrong)
    assert list(app.tasks()) == []


@pytest.mark.parametrize("name", ["deadline", "expires_at", "unique_key", "limit"])
def test_options_to_come_are_refused_by_their_name(app: duly.App, name: str) -> None:
    with pytest.raises(NotAvailable, match=f"{name}="):
        app.action("mail:send")(send).using(**{name: 1})


def test_using_says_more_and_more_and_leaves_the_action_as_it_was(app: duly.App) -> None:
    action = app.action("mail:send", queue="slow", priority="low")(send)
    urgent = action.using(priority="high")
    later = urgent.using(delay=60)
    assert isinstance(urgent, Action)
    assert action.passport("ann").options == Options(queue="slow", priority="low")
    assert urgent.passport("ann").options == Options(queue="slow", priority="high")
    assert later.passport("ann").options.priority == "high"
    assert later.submit("ann").state == "scheduled"


# payloads


def test_a_call_becomes_a_payload_by_name(app: duly.App) -> None:
    passport = app.action("mail:send")(send).passport("ann", text="hi")
    assert (passport.action, passport.version, passport.payload) == ("mail:send", 1, {"to": "ann", "text": "hi"})


@pytest.mark.parametrize("call", [((), {}), (("a", "b", "c"), {}), (("a",), {"who": 1}), ((object(),), {})])
def test_a_wrong_call_is_told_at_the_submit(app: duly.App, call: Any) -> None:
    action: Any = app.action("mail:send")(send)
    with pytest.raises(PayloadInvalid):
        action.submit(*call[0], **call[1])
    assert list(app.tasks()) == []


@pytest.mark.parametrize("payload", [{"who": 1}, {"to": 5}, [1, 2], None])
def test_a_payload_by_name_is_checked_against_the_handler_where_that_is_known(app: duly.App, payload: Any) -> None:
    app.action("mail:send")(send)
    with pytest.raises(PayloadInvalid):
        app.submit("mail:send", payload)
    assert app.submit("mail:unknown", payload).state == "ready", "who serves it will tell"


def test_a_payload_may_have_so_many_bytes_and_no_more() -> None:
    with duly.App("sqlite:///:memory:", max_payload=100) as app:
        action = app.action("mail:send")(send)
        action.passport("a" * 60)
        for attempt in (lambda: action.passport("a" * 100), lambda: app.passport("other:thing", "a" * 100)):
            with pytest.raises(PayloadInvalid):
                attempt()
