from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from duly.engine.console import MOST_LINE, Console, Unblocking


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    os.close(read)
    os.close(write)


def said(pipe: tuple[int, int]) -> str:
    try:
        return os.read(pipe[0], 1 << 20).decode()
    except BlockingIOError:
        return ""


def test_each_line_names_the_task_it_came_from(pipe: tuple[int, int]) -> None:
    Console(pipe[1]).show(1, "mail:send 7", b"one\ntwo\n", last=True)
    assert said(pipe) == "[mail:send 7] one\n[mail:send 7] two\n"


def test_a_line_is_shown_whole_though_it_comes_in_pieces_of_several_sources(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.show(1, "a", b"hel", last=False)
    console.show(2, "b", b"other\n", last=False)
    console.show(1, "a", b"lo\nrest", last=False)
    assert said(pipe) == "[b] other\n[a] hello\n"
    console.show(1, "a", b"", last=True)
    assert said(pipe) == "[a] rest\n"


def test_the_next_task_of_a_runner_does_not_inherit_an_unfinished_line(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.show(1, "a", b"no newline", last=True)
    console.show(1, "b", b"mine\n", last=True)
    assert said(pipe) == "[a] no newline\n[b] mine\n"


def test_a_line_without_end_is_not_kept_for_ever(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.show(1, "a", b"x" * (MOST_LINE + 1), last=False)
    assert said(pipe) == "[a] " + "x" * (MOST_LINE + 1) + "\n"


@pytest.fixture
def stuck(pipe: tuple[int, int]) -> tuple[int, int]:
    """A pipe that has no room."""
    os.set_blocking(pipe[1], False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe[1], b"." * 4096)
    os.set_blocking(pipe[1], True)
    return pipe


def test_a_stuck_reader_does_not_hold_it_up_and_is_told_what_was_left_out(stuck: tuple[int, int]) -> None:
    console = Console(stuck[1])
    for _ in range(3):
        console.show(1, "a", b"12345\n", last=False)
    assert set(said(stuck)) == {"."}
    console.show(1, "a", b"back\n", last=False)
    assert said(stuck) == f"[duly] {3 * len('[a] 12345') + 3} bytes of output were left out\n[a] back\n"
    console.show(1, "a", b"again\n", last=False)
    assert said(stuck) == "[a] again\n", "it is told once"


def test_more_than_fits_is_cut_and_the_rest_counted(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.show(1, "a", (b"x" * 1023 + b"\n") * 256, last=True)
    shown = len(said(pipe))
    console.show(1, "a", b"back\n", last=True)
    left_out = 256 * (1024 + len("[a] ")) - shown
    assert said(pipe) == f"\n[duly] {left_out:,} bytes of output were left out\n[a] back\n"


def test_without_a_place_to_show_it_or_with_a_closed_one_nothing_happens(pipe: tuple[int, int]) -> None:
    Console(None).show(1, "a", b"x\n", last=True)
    closed = os.dup(pipe[1])
    os.close(closed)
    console = Console(closed)
    console.show(1, "a", b"x\n", last=True)
    console.show(1, "a", b"x\n", last=True)
    assert said(pipe) == ""


def test_a_line_that_was_cut_short_is_ended_before_anything_else_is_told(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1])
    console.show(1, "a", b"x" * 10 * MOST_LINE + b"\n", last=False)
    cut = said(pipe)
    assert not cut.endswith("\n")
    console.show(1, "a", b"back\n", last=False)
    lost = len("[a] \n") + 10 * MOST_LINE - len(cut)
    assert said(pipe) == f"\n[duly] {lost:,} bytes of output were left out\n[a] back\n"


def test_a_text_stream_on_it_waits_for_no_reader_either(stuck: tuple[int, int]) -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(Unblocking(stuck[1])), encoding="utf-8", line_buffering=True)
    print("nobody reads", file=stream)
    assert set(said(stuck)) == {"."}
    print("back", file=stream)
    assert said(stuck) == "[duly] 13 bytes of output were left out\nback\n"
    assert (stream.fileno(), stream.isatty()) == (stuck[1], False)
