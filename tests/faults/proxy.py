"""A network that fails: a proxy before a server which cuts connections, holds replies back, and loses some of them."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.faults.relay import Relay, Wire, first_of, messages, startup
from tests.server import Server, free_port

COMPLETE = ord("C")
"""The kind of message that says a statement is done, and which."""


class Fate(enum.Enum):
    """What becomes of the reply to a COMMIT, and of its connection."""

    PASS = enum.auto()
    SWALLOW = enum.auto()
    """The reply is lost, and the connection is closed."""

    TEAR = enum.auto()
    """Half of the reply arrives, and the connection is closed."""

    SILENCE = enum.auto()
    """No reply comes on this connection any more; it stays open."""


class Proxy(Relay):
    """Takes connections on a port of the loopback, and passes all on to `server`, which may be changed.

    `connections` and `commits` count what was seen of them, `hits` the replies to commits that were not passed on.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = free_port()
        self.connections = 0
        self.commits = 0
        self.hits = 0
        self._wires: set[Wire] = set()
        self._decide: Callable[[int], Fate] = lambda _: Fate.PASS
        self._flows = asyncio.Event()
        self._flows.set()

    def url(self, database: str = "postgres") -> str:
        """Where a database is, by way of the proxy."""
        there = urlsplit(self.server.url(database))
        return there._replace(netloc=there.netloc.replace(str(there.port), str(self.port))).geturl()

    def cut(self) -> int:
        """Close all connections at once; return how many there were."""
        return self._do(self._cut())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold all replies back; they are passed on afterwards."""
        self._do(self._let(flow=False))
        try:
            yield
        finally:
            self._do(self._let(flow=True))

    def decide(self, fate: Callable[[int], Fate]) -> None:
        """Have the reply to each COMMIT meet the fate that is given for its number; the next one is number 1."""
        self.commits = 0
        self._decide = fate

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _cut(self) -> int:
        wires = list(self._wires)
        for wire in wires:
            wire.cut()
        return len(wires)

    async def _let(self, *, flow: bool) -> None:
        self._flows.set() if flow else self._flows.clear()

    async def _serve(self, client: Wire) -> None:
        self.connections += 1
        self._wires.add(client)
        try:
            _, first = await startup(client)
            async with Wire(*await asyncio.open_connection("127.0.0.1", self.server.port)) as server:
                await server.send(first)
                await first_of(self._requests(client, server), self._replies(client, server))
        finally:
            self._wires.discard(client)

    async def _requests(self, client: Wire, server: Wire) -> None:
        async for chunk in client.chunks():
            await server.send(chunk)

    async def _replies(self, client: Wire, server: Wire) -> None:
        buffer = bytearray()
        async for chunk in server.chunks():
            buffer += chunk
            fate, end = self._judge(buffer)
            await self._flows.wait()
            await client.send(buffer[:end])
            del buffer[:end]
            if fate is Fate.SILENCE:
                await asyncio.Event().wait()
            elif fate is not Fate.PASS:
                return

    def _judge(self, buffer: bytearray) -> tuple[Fate, int]:
        """Return what becomes of these replies, and how much of them is passed on."""
        passed = 0
        for kind, begin, end in messages(buffer):
            passed = end
            if kind == COMPLETE and buffer[begin + 5 : end] == b"COMMIT\0":
                self.commits += 1
                fate = self._decide(self.commits)
                if fate is not Fate.PASS:
                    self.hits += 1
                    return fate, begin + (end - begin) // 2 * (fate is Fate.TEAR)
        return Fate.PASS, passed
