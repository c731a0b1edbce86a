"""A channel of packets between two processes: small ones go through the socket, large ones through memory.

A default Unix socket refuses packets of about 200 kB; above `INLINE` the bytes go into a sealed memfd whose
descriptor is sent instead (SCM_RIGHTS), so they are copied by neither kernel queue. A process that can hold no more
descriptors gets none: what it is to understand then comes along, in the packet itself.

To take in what may have a descriptor takes a third longer, so such a packet is announced by another one before it.
"""

from __future__ import annotations

import array
import errno
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from duly.runner.linux import above_standard_files, sealed_copy

INLINE = 66 * 1024
"""The largest packet that goes through the socket itself: an update, which may have 64 KiB, needs no descriptor."""

SHORTAGES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETOOMANYREFS))
"""Why no descriptor can be made, though the other end is well."""

MOST_FDS = 8
_ELSEWHERE = b"\xc1"
"""A packet that says: what is meant is in the descriptor that came along (0xc1 is never used in msgpack).

Without a descriptor it announces one that has one.
"""
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT_OFF = int(socket.MSG_CTRUNC)
_FD_SPACE = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new channel, neither of them in the place of a standard file that was closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return _moved(ours), _moved(theirs)


def _moved(sock: socket.socket) -> socket.socket:
    return sock if sock.fileno() > 2 else socket.socket(fileno=above_standard_files(sock.detach()))


class Channel:
    """One end of a channel. `receive` returns b"" once the other end is closed.

    `most` bounds what the other end can make this one hold in memory, in bytes.
    """

    def __init__(self, sock: socket.socket, most: int) -> None:
        self.sock = sock
        self._most = most
        self._view = memoryview(bytearray(INLINE))
        self._views = [self._view]
        self._announced = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.sock.fileno()

    def send(self, data: bytes, fds: Sequence[int] = (), *, instead: bytes = b"") -> None:
        """Send a packet, and duplicates of descriptors; `BlockingIOError` if it would have to wait and must not.

        A large one can be replaced, where the other end has no descriptor left, by what it is to understand `instead`.
        """
        if len(data) <= INLINE:
            if fds:
                socket.send_fds(self.sock, [data], list(fds))
            else:
                self.sock.send(data)
            return
        fd = sealed_copy(data)
        try:
            self.sock.send(_ELSEWHERE)
            socket.send_fds(self.sock, [_ELSEWHERE, instead], [fd])
        finally:
            os.close(fd)

    def send_or(self, data: bytes, instead: Callable[[], bytes]) -> None:
        """Send a packet, or this small one instead where at either end there is no descriptor for a large one."""
        if len(data) <= INLINE:
            self.sock.send(data)
            return
        small = instead()
        try:
            self.send(data, instead=small)
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            self.sock.send(small)

    def receive(self, flags: int = 0) -> bytes | memoryview:
        """Receive a packet, for use before the next call; descriptors that come with it are closed."""
        while True:
            size, ancillary, told, _ = self.sock.recvmsg_into(self._views, _FD_SPACE, _CLOEXEC | flags)
            if ancillary or told & _CUT_OFF:
                break
            if not self._announces(size):
                return self._view[:size]
        data, fds = self._unpacked(size, ancillary)
        for fd in fds:
            os.close(fd)
        return data

    def receive_alone(self, flags: int = 0) -> bytes | memoryview:
        """The same at an end that nobody else reads, in less time."""
        if not self._announced:
            size = self.sock.recv_into(self._view, 0, flags)
            if not self._announces(size):
                return self._view[:size]
            self._announced = True
        data = self.receive(flags)
        self._announced = False
        return data

    def _announces(self, size: int) -> bool:
        return size == 1 and self._view[:1] == _ELSEWHERE

    def receive_fds(self) -> tuple[bytes | memoryview, list[int]]:
        """Receive a packet and the descriptors that came with it, as many as this process can hold."""
        while True:
            size, ancillary, told, _ = self.sock.recvmsg_into(self._views, _FD_SPACE, _CLOEXEC)
            if ancillary or told & _CUT_OFF or not self._announces(size):
                return self._unpacked(size, ancillary)

    def _unpacked(self, size: int, ancillary: list[tuple[int, int, bytes]]) -> tuple[bytes | memoryview, list[int]]:
        data = self._view[:size]
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if data[:1] != _ELSEWHERE:
            return data, fds.tolist()
        if not fds:
            return data[1:], []
        try:
            return self._fetch(fds[0]), []
        finally:
            for fd in fds:
                os.close(fd)

    def _fetch(self, fd: int) -> bytes:
        """Read all of a memfd; a mapping could be cut short under our hands."""
        size = os.fstat(fd).st_size
        if size > self._most:
            raise ValueError(f"a packet of {size:,} bytes, more than {self._most:,}")
        data = b""
        while len(data) < size and (part := os.pread(fd, size - len(data), len(data))):
            data += part
        return data

    def close(self) -> None:
        """Close this end."""
        self.sock.close()

    def hang_up(self) -> None:
        """Close this end for good, also where a fork of this process holds a copy of it."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
