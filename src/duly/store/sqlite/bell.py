"""Bells: Unix datagrams that say "look". A lost one costs a poll's wait, a false one a look."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress


class DatagramBell:
    """A bell of this process, under an abstract name that vanishes with it."""

    def __init__(self) -> None:
        self.address = "duly-" + os.urandom(9).hex()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + self.address)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def silence(self) -> None:
        """Take in all rings up to now."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def close(self) -> None:
        """Be reachable no more."""
        self._socket.close()


class Ringer:
    """Rings the bells of others."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self, addresses: Iterable[str]) -> None:
        """Ring each; whoever is gone, or has not taken in the last rings yet, is left alone."""
        for address in addresses:
            if address:
                with suppress(OSError):
                    self._socket.sendto(b"!", "\0" + address)

    def close(self) -> None:
        """Ring no more."""
        self._socket.close()
