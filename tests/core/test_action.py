import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.action import ActionName, ActionSpec, Policy, check_queue, parse_action
from duly.errors import ActionInvalid

segments = st.from_regex(r"[a-z][a-z0-9_.-]{0,63}", fullmatch=True)


@given(st.lists(segments, min_size=1, max_size=7), segments)
def test_a_name_is_read_into_its_segments_and_written_as_it_was(noun, verb):
    text = "/".join(noun) + ":" + verb
    name = parse_action(text)
    assert name == ActionName(tuple(noun), verb)
    assert str(name) == text


@pytest.mark.parametrize(
    "name",
    [
        "",
        "email",
        ":",
        "email:",
        ":send",
        "email::send",
        "email:send:now",
        "/email:send",
        "email/:send",
        "email//bulk:send",
        "email:send/now",
        "Email:send",
        "email:Send",
        " email:send",
        "email:send ",
        "email:send\n",
        "email\n:send",
        "1email:send",
        "_email:send",
        "-email:send",
        ".email:send",
        "é:send",
        "email٣:send",
        "e*:send",
        "*",
        None,
        3,
        b"email:send",
        ("email", "send"),
    ],
)
def test_whatever_is_not_the_grammar_is_refused_and_never_repaired(name):
    with pytest.raises(ActionInvalid, match="an action is named"):
        parse_action(name)


def test_a_segment_has_64_characters_at_most():
    longest = "a" * 64
    assert parse_action(f"{longest}:{longest}") == ActionName((longest,), longest)
    for name in (f"{longest}a:send", f"email:{longest}a"):
        with pytest.raises(ActionInvalid):
            parse_action(name)


def test_there_are_eight_segments_at_most_and_the_verb_is_one():
    assert len(parse_action("a/b/c/d/e/f/g:h").noun) == 7
    with pytest.raises(ActionInvalid):
        parse_action("a/b/c/d/e/f/g/h:i")


def test_the_message_shows_the_name_and_what_would_be_right():
    with pytest.raises(ActionInvalid, match=r"'Email:send'.*like 'email:send'"):
        parse_action("Email:send")


@given(segments)
def test_a_queue_is_one_segment(name):
    assert check_queue(name) == name


@pytest.mark.parametrize("name", ["", "Default", "a/b", "a:b", "a b", "a\n", "a" * 65, None, 3])
def test_a_queue_that_is_no_segment_is_refused(name):
    with pytest.raises(ActionInvalid, match="bad queue name"):
        check_queue(name)


def test_an_action_that_says_nothing_gets_the_documented_defaults():
    spec = ActionSpec(name="email:send")
    assert (spec.version, spec.queue, spec.priority, spec.isolation) == (1, "default", "medium", "process")
    policy = Policy()
    assert (policy.timeout, policy.grace, policy.memory, policy.max_attempts) == (600, 5, None, 5)
    assert (policy.retry.first, policy.retry.factor, policy.retry.most, policy.retry.jitter) == (1, 2, 600, True)
    assert policy.demote_after == 2


def test_a_decorator_without_a_name_says_how_to_give_one() -> None:
    with pytest.raises(ActionInvalid, match=r'give a name, as in @app.action\("email:send"\)'):
        parse_action(len)
