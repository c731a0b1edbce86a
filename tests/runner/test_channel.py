import gc
import os
import socket
from contextlib import nullcontext

import pytest

from duly.runner.channel import INLINE, Channel, pair
from tests.helpers import no_descriptors


@pytest.fixture
def ends():
    ours, theirs = pair()
    channels = Channel(ours, most=10 * INLINE), Channel(theirs, most=10 * INLINE)
    yield channels
    for channel in channels:
        channel.close()


def open_descriptors():
    gc.collect()  # what other tests have left may be closed at any time
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("receive", [Channel.receive, Channel.receive_alone, lambda channel: channel.receive_fds()[0]])
@pytest.mark.parametrize("size", [1, INLINE - 1, INLINE, INLINE + 1, 10 * INLINE])
def test_a_packet_arrives_whole_whatever_its_size(ends, size, receive):
    here, there = ends
    data = os.urandom(size)
    before = open_descriptors()

    here.send(data)

    assert bytes(receive(there)) == data
    assert open_descriptors() == before


def test_a_packet_larger_than_is_taken_is_refused_and_leaves_nothing_open(ends):
    here, there = ends
    before = open_descriptors()

    here.send(b"x" * (10 * INLINE + 1))

    with pytest.raises(ValueError, match="more than"):
        there.receive()
    assert open_descriptors() == before


@pytest.mark.parametrize("either", ["here", "there"])
def test_where_no_descriptor_is_left_what_is_to_be_understood_instead_arrives(ends, either):
    here, there = ends
    large = b"x" * (INLINE + 1)
    before = open_descriptors()

    with no_descriptors() if either == "here" else nullcontext():
        here.send_or(large, lambda: b"instead")
        here.send_or(b"small", lambda: b"")
    with no_descriptors() if either == "there" else nullcontext():
        assert [bytes(there.receive()), bytes(there.receive())] == [b"instead", b"small"]
    assert open_descriptors() == before

    here.send_or(large, lambda: b"instead")
    assert bytes(there.receive()) == large


def test_packets_keep_their_order_and_their_borders(ends):
    here, there = ends
    packets = [b"a", b"b" * (INLINE + 1), b"c"]

    for packet in packets:
        here.send(packet)

    assert [bytes(there.receive()) for _ in packets] == packets


def test_descriptors_travel_along(ends):
    here, there = ends
    read, write = os.pipe()

    here.send(b"a pipe", [write])
    os.close(write)
    data, fds = there.receive_fds()

    assert bytes(data) == b"a pipe"
    os.write(fds[0], b"through it")
    assert os.read(read, 100) == b"through it"
    assert not os.get_inheritable(fds[0])
    for fd in (read, *fds):
        os.close(fd)


def test_descriptors_that_nobody_expects_are_closed(ends):
    here, there = ends
    before = open_descriptors()

    here.send(b"and more", [0, 0, 0])

    assert bytes(there.receive()) == b"and more"
    assert open_descriptors() == before


def test_a_closed_end_is_heard_as_nothing(ends):
    here, there = ends

    here.close()

    assert there.receive() == b""


def test_hanging_up_is_heard_though_a_copy_of_the_end_is_open(ends):
    here, there = ends
    copy = here.sock.dup()

    here.hang_up()

    assert there.receive() == b""
    copy.close()


@pytest.mark.parametrize("receive", [Channel.receive, Channel.receive_alone])
def test_what_is_announced_may_never_come_or_late(ends, receive):
    here, there = ends
    announced = b"\xc1"

    here.sock.send(announced)
    here.send(b"small")
    assert bytes(receive(there)) == b"small"

    here.sock.send(announced)
    with pytest.raises(BlockingIOError):
        receive(there, socket.MSG_DONTWAIT)
    here.send(b"x" * (INLINE + 1))
    assert bytes(receive(there)) == b"x" * (INLINE + 1)
    here.sock.send(announced)
    here.close()
    assert receive(there) == b""


def test_a_full_channel_says_so_where_it_must_not_wait(ends):
    here, _ = ends
    here.sock.setblocking(False)

    def send_much():
        for _ in range(10_000):
            here.send(b"x" * 1000)

    with pytest.raises(BlockingIOError):
        send_much()


def test_no_end_takes_the_place_of_a_standard_file():
    kept = [os.dup(fd) for fd in range(3)]
    try:
        os.close(0)
        ours, theirs = pair()
        assert min(ours.fileno(), theirs.fileno()) > 2
        ours.close()
        theirs.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        for fd, copy in enumerate(kept):
            os.dup2(copy, fd)
            os.close(copy)


def test_what_travels_in_memory_cannot_be_changed_any_more(ends):
    here, there = ends

    here.send(b"x" * (INLINE + 1))
    there.sock.recv(10)  # it is announced
    _, ancillary, _, _ = there.sock.recvmsg(10, socket.CMSG_SPACE(4))
    fd = int.from_bytes(ancillary[0][2], "little")

    for change in (lambda: os.write(fd, b"y"), lambda: os.ftruncate(fd, 1)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)
