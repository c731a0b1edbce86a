"""Bells on a server: LISTEN, on a connection of its own that is made, and made anew, without waiting for anybody.

A ring is a hint. Whoever owns a bell calls `silence` when its descriptor is ready and at each poll, and each time the
connection comes as far as it can without waiting. Behind a pooler that gives each transaction another session no bell
is ever heard; then there is no connection either.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from duly.store.postgres.address import Address
from duly.store.postgres.connection import DEFAULTS
from duly.store.postgres.ringer import channel_of_nodes, channel_of_ripples

AGAIN_SECONDS = 1.0
"""Between two attempts to connect."""

SOON_SECONDS = 2.0
"""How long it is waited, where somebody wants to be sure that nothing is missed from now on."""

_EVENTS = {
    pq.PollingStatus.READING: select.EPOLLIN,
    pq.PollingStatus.WRITING: select.EPOLLOUT,
    pq.PollingStatus.OK: select.EPOLLIN,
}


class ServerBell:
    """Hears one channel of a database; `hears` tells whether it does just now, `deaf` that it never will."""

    def __init__(self, address: Address, channel: str = "") -> None:
        self.address = channel or "duly." + os.urandom(9).hex()
        self.deaf = False
        defaults = {**DEFAULTS, "application_name": "duly bell"}
        self._conninfo = make_conninfo(address.conninfo, **(defaults | conninfo_to_dict(address.conninfo))).encode()
        self._epoll = select.epoll()
        self._connection: pq.abc.PGconn | None = None
        self._connected = self.hears = False
        self._fd = -1
        self._next = 0.0

    def fileno(self) -> int:
        """The descriptor to wait on; it stays the same, whatever becomes of the connection."""
        return self._epoll.fileno()

    def silence(self) -> None:
        """Take in all rings up to now, and bring the connection about if there is none."""
        try:
            if self._connection is None:
                self._start()
            if self._connection is not None and not self._connected:
                self._go_on(self._connection)
            if self._connection is not None and self._connected:
                self._take_in(self._connection)
        except psycopg.Error:
            self._drop()

    def close(self) -> None:
        """Be reachable no more; safe to call twice."""
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
        if self.deaf or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + AGAIN_SECONDS
        connection = self._connection = pq.PGconn.connect_start(self._conninfo)
        if connection.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError
        self._await(connection.socket, select.EPOLLOUT)

    def _go_on(self, connection: pq.abc.PGconn) -> None:
        """Come nearer to being connected, if that is possible now: libpq would wait where it is called too early."""
        if not self._epoll.poll(0):
            return
        status = connection.connect_poll()
        if status == pq.PollingStatus.FAILED:
            raise psycopg.OperationalError
        self._await(connection.socket, _EVENTS[pq.PollingStatus(status)])
        if status == pq.PollingStatus.OK:
            connection.nonblocking = 1
            connection.send_query(f'select pg_backend_pid(); listen "{self.address}"'.encode())
            self._connected = True

    def _await(self, fd: int, events: int) -> None:
        """Have the descriptor be ready when this one is; while it connects libpq may go from one to another."""
        if self._fd >= 0:
            with suppress(OSError):  # it may be closed by now, and so gone
                self._epoll.unregister(self._fd)
        self._epoll.register(fd, events)
        self._fd = fd

    def _take_in(self, connection: pq.abc.PGconn) -> None:
        connection.flush()
        connection.consume_input()
        while not connection.is_busy() and (result := connection.get_result()) is not None:
            self._answered(connection, result)
            if self.deaf:
                self._drop()
                return
        while connection.notifies() is not None:
            pass

    def _answered(self, connection: pq.abc.PGconn, result: pq.abc.PGresult) -> None:
        if result.status == pq.ExecStatus.TUPLES_OK:
            self.deaf = int(result.get_value(0, 0) or 0) != connection.backend_pid
        elif result.status == pq.ExecStatus.COMMAND_OK:
            self.hears = True
        else:
            raise psycopg.OperationalError

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._connected = self.hears = False
        if self._fd >= 0:
            with suppress(OSError, ValueError):
                self._epoll.unregister(self._fd)
        self._fd = -1
        if connection is not None:
            connection.finish()


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
