import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly.core.fingerprint import fingerprint

FRAMES = [("job.py", "run"), ("mail.py", "send")]
words = st.text("abcdefgh XYZ.,:!?", max_size=30)


def of(message, kind="ValueError", frames=FRAMES):
    return fingerprint(kind, message, frames)


@given(st.text(), st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_it_is_16_hex_digits_whatever_the_error_says(kind, message, frames):
    made = fingerprint(kind, message, frames)
    assert len(bytes.fromhex(made)) == 8
    assert made == fingerprint(kind, message, frames)


@given(words, st.integers(), st.integers(), words)
def test_numbers_do_not_make_another_error(before, one, other, after):
    assert of(f"{before} {one} {after}") == of(f"{before} {other} {after}")


@given(words, st.text(), st.text(), words)
def test_quoted_text_does_not_make_another_error(before, one, other, after):
    assert of(f"{before} {one!r} {after}") == of(f"{before} {other!r} {after}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<Job at 0x7f8d5d94c780>", "<Job at 0x7f8d5d94c790>"),
        ("task 018bcfe5-6800-7000-8000-000000000000 is gone", "task 018bcfe5-6800-7000-8000-00000000000a is gone"),
        ("commit 75f1436abcde is gone", "commit 14adc89fedcb is gone"),
        ("took 1.5e-3 s", "took 20 s"),
        ("no column b'name'", "no column b'id'"),
        ("it failed\nhere", "it failed\nthere"),
        ("key 'it\\'s'", "key 'this'"),
    ],
)
def test_what_varies_from_time_to_time_does_not_count(one, other):
    assert of(one) == of(other)


@given(st.tuples(words, words))
def test_other_words_are_another_error(two):
    one, other = two
    assert (of(one) == of(other)) == (one == other)


def test_another_class_or_place_is_another_error():
    assert len({of("a"), of("a", kind="KeyError"), of("a", frames=FRAMES[:1]), of("a", frames=FRAMES[::-1])}) == 4


def test_what_follows_an_apostrophe_still_counts():
    assert of("can't open the door") != of("can't open the window")


def test_a_message_without_end_is_looked_at_in_no_time():
    assert of("'" * 5_000_000) == of("'" * 6_000_000)
    assert of("'\\" * 3_000_000)
