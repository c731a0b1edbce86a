"""Bells on a server: LISTEN, on a connection of its own that is made, and made anew, without waiting for anybody.

A ring is a hint. Whoever owns a bell calls `silence` when its descriptor is ready and at each poll. It is connected by
a thread that ends with that: to find the server by its name, and to be let in, may take long, and libpq waits for some
of it with all of Python. Behind a pooler that gives each transaction another session no bell is ever heard; then there
is no connection either.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from duly.errors import StoreError
from duly.store.postgres.address import Address
from duly.store.postgres.connection import Connection, connect
from duly.store.postgres.ringer import channel_of_nodes, channel_of_ripples

AGAIN_SECONDS = 1.0
"""Between two attempts to connect."""

SOON_SECONDS = 2.0
"""How long it is waited, where somebody wants to be sure that nothing is missed from now on."""


class ServerBell:
    """Hears one channel of a database; `hears` tells whether it does just now, `deaf` that it never will."""

    def __init__(self, address: Address, channel: str = "") -> None:
        self.address = channel or "duly." + os.urandom(9).hex()
        self.hears = self.deaf = False
        named = {"application_name": "duly bell"} | conninfo_to_dict(address.conninfo)
        self._server = address._replace(conninfo=make_conninfo("", **named))
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._connecting = self._closed = False
        self._connection: Connection | None = None
        self._fd = -1  # its socket, as the bell's own: libpq closes its one, and a forked child may have it open still
        self._next = 0.0

    def fileno(self) -> int:
        """The descriptor to wait on; it stays the same, whatever becomes of the connection."""
        return self._epoll.fileno()

    def silence(self) -> None:
        """Take in all rings up to now, and have the connection brought about if there is none."""
        with self._lock:
            connection = self._connection
        if connection is None:
            self._start()
            return
        try:
            if not self.hears:
                self._epoll.modify(self._fd, select.EPOLLIN)
                self.hears = True
            connection.pgconn.consume_input()
            while connection.pgconn.notifies() is not None:
                pass
        except psycopg.Error:
            self._drop()

    def close(self) -> None:
        """Be reachable no more; safe to call twice."""
        with self._lock:
            self._closed = True
        self._drop()
        self._epoll.close()

    def soon(self) -> None:
        """Wait until it hears, is deaf, or that takes too long."""
        until = time.monotonic() + SOON_SECONDS
        self.silence()
        while not (self.hears or self.deaf) and time.monotonic() < until:
            self._epoll.poll(0.05)
            self.silence()

    # the connection
    def _start(self) -> None:
        if self.deaf or self._connecting or time.monotonic() < self._next:
            return
        self._next, self._connecting = time.monotonic() + AGAIN_SECONDS, True
        try:
            threading.Thread(target=self._connect, name="duly-bell", daemon=True).start()
        except RuntimeError:  # no thread is left just now
            self._connecting = False

    def _connect(self) -> None:
        """Begin to hear; in a thread of its own."""
        connection: Connection | None = None
        try:
            connection = connect(self._server, allow_unsafe=True)
            if connection.pooled:
                self.deaf = True
            else:
                connection.execute(f'listen "{self.address}"'.encode())
                connection = self._handed_over(connection)
        except (psycopg.Error, StoreError, OSError):
            pass  # it is tried again
        finally:
            if connection is not None:
                connection.close()
            self._connecting = False

    def _handed_over(self, connection: Connection) -> Connection | None:
        """Give it to whoever waits, who looks at once: nothing is missed from now on. Returns it if nobody does."""
        with self._lock:
            if self._closed:
                return connection
            fd = os.dup(connection.fileno())
            try:
                self._epoll.register(fd, select.EPOLLIN | select.EPOLLOUT)
            except BaseException:
                os.close(fd)
                raise
            self._fd, self._connection = fd, connection
            return None

    def _drop(self) -> None:
        self.hears = False
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):  # a forked child may have done so
                self._epoll.unregister(self._fd)
            os.close(self._fd)
            connection.close()


def node_bell(address: Address) -> ServerBell:
    """Where all nodes of a store are rung together."""
    return ServerBell(address, channel_of_nodes(address.schema))


def ripples_of(address: Address) -> ServerBell | None:
    """What feels that histories of a store have grown, from now on; None if nothing can be felt."""
    ripples = ServerBell(address, channel_of_ripples(address.schema))
    ripples.soon()
    if ripples.deaf:
        ripples.close()
        return None
    return ripples
