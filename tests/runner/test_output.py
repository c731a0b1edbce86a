import os

import pytest

from duly.runner.output import _BOUNDARY, PIECE, Reader, new_secret

SECRET = bytes(range(16))
RUNNING = (9, 1)


@pytest.fixture
def pipe():
    read, write = os.pipe2(os.O_NONBLOCK)
    reader = Reader(read, SECRET, lambda: RUNNING)
    yield reader, write
    reader.close()
    os.close(write)


def boundary(key, claim):
    return _BOUNDARY.pack(SECRET, key, claim)


def test_what_was_printed_before_a_boundary_belongs_to_its_task(pipe):
    reader, write = pipe

    os.write(write, b"one" + boundary(1, 5) + b"two" + boundary(2, 6) + b"three")

    assert reader.read() == [(b"one", (1, 5), True), (b"two", (2, 6), True), (b"three", RUNNING, False)]


@pytest.mark.parametrize("cut", range(1, _BOUNDARY.size))
def test_a_boundary_may_come_in_pieces(pipe, cut):
    reader, write = pipe
    data = b"one" + boundary(1, 5)

    os.write(write, data[: 3 + cut])
    pieces = reader.read()
    os.write(write, data[3 + cut :])
    pieces += reader.read()

    assert b"".join(piece.data for piece in pieces) == b"one"
    assert pieces[-1][1] == (1, 5)


def test_the_beginning_of_the_secret_alone_is_output_like_any_other(pipe):
    reader, write = pipe

    os.write(write, SECRET[:5])
    first = reader.read()
    os.write(write, b"!")

    assert b"".join(piece.data for piece in [*first, *reader.read()]) == SECRET[:5] + b"!"


def test_no_more_than_a_bounded_piece_is_held_at_once():
    with open("/dev/zero", "rb", buffering=0) as endless:
        reader = Reader(os.dup(endless.fileno()), SECRET, lambda: RUNNING)
        pieces = reader.read()
        reader.close()

    assert sum(len(piece.data) for piece in pieces) <= 5 * PIECE


def test_the_end_of_a_pipe_is_noticed(pipe):
    reader, write = pipe
    assert reader.read() == []
    assert not reader.at_end

    os.write(write, b"last")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, write)
    os.close(null)

    assert reader.read() == [(b"last", RUNNING, False)]
    assert reader.at_end


def test_a_finished_line_is_never_held_back_for_the_secret():
    """A secret that began as lines end would hold back each line's end until more is printed."""
    read, write = os.pipe2(os.O_NONBLOCK)
    for _ in range(2_000):
        os.write(write, b"a line\n")
        assert Reader(read, new_secret(), lambda: RUNNING).read() == [(b"a line\n", RUNNING, False)]
    os.close(read)
    os.close(write)


def test_what_a_task_printed_that_ended_meanwhile_waits_for_its_boundary(pipe):
    """The next one may run by now, and would be taken for whose it is."""
    _, write = pipe
    turns = iter([(1, 5), (2, 6), (2, 6), (2, 6)])
    reader = Reader(pipe[0].fd, SECRET, lambda: next(turns))

    os.write(write, b"one")
    assert reader.read() == []
    os.write(write, boundary(1, 5) + b"two")

    assert reader.read() == [(b"one", (1, 5), True), (b"two", (2, 6), False)]


def test_lines_of_one_task_that_come_each_with_a_boundary_are_one_piece(pipe):
    reader, write = pipe

    os.write(write, b"".join(b"line\n" + boundary(1, 5) for _ in range(3)) + b"other" + boundary(2, 5))

    assert reader.read() == [(b"line\n" * 3, (1, 5), True), (b"other", (2, 5), True)]


def test_what_comes_while_it_is_asked_who_runs_is_not_taken_for_that_ones(pipe):
    """Between the answer and the next look the task that was named ended, and others printed."""
    _, write = pipe

    def running():
        yield RUNNING
        os.write(write, boundary(*RUNNING) + b"another's\n")
        yield RUNNING
        yield from [(10, 1)] * 9

    answers = running()
    reader = Reader(pipe[0].fd, SECRET, lambda: next(answers))
    os.write(write, b"its own\n")
    pieces = reader.read() + reader.read()

    assert [piece[:2] for piece in pieces if piece.data] == [(b"its own\n", RUNNING), (b"another's\n", (10, 1))]
