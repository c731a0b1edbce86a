import msgspec
import pytest

from duly.core.passport import Options, Passport

passport = Passport(id="x", action="email:send", version=1, payload_json='{"to":["ann"]}')


def test_options_that_are_not_said_are_not_kept():
    assert msgspec.json.encode(Options()) == b"{}"
    said = Options(queue="mail", priority="high", front=True, run_at=5, timeout=None, max_attempts=2)
    assert msgspec.json.decode(msgspec.json.encode(said), type=Options) == said


def test_no_time_limit_is_something_else_than_saying_nothing_about_it():
    assert msgspec.json.encode(Options(timeout=None)) == b'{"timeout":null}'
    assert msgspec.json.decode(b"{}", type=Options).timeout is msgspec.UNSET


def test_a_passport_never_changes():
    with pytest.raises(AttributeError):
        passport.action = "email:drop"
    with pytest.raises(AttributeError):
        passport.options.front = True


def test_what_is_done_to_a_payload_does_not_touch_the_passport():
    passport.payload["to"].append("ben")
    assert passport.payload == {"to": ["ann"]}
