"""A transaction pooler: whoever begins a transaction gets any server connection, and the next time another one.

What a client is told of its backend (process id, secret key) is made up, as poolers do. Nothing is done for clients
that rely on their session: prepared statements, settings, locks and LISTEN stay where they were made.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote

from tests.faults.relay import CANCEL, Relay, Wire, message, messages, startup
from tests.server import Server, free_port

TERMINATE, QUERY, SYNC, CALL = map(ord, "XQSF")
ASKING = {QUERY, SYNC, CALL}
"""Kinds of messages after which the server is to say that it is ready for more."""

READY, PARAMETER = map(ord, "ZS")
IDLE = ord("I")
TRUSTED = message(b"R", bytes(4))
PROTOCOL = 3 << 16
KNOWN = {"user", "database", "application_name", "client_encoding"}
"""What a client may ask for at first; settings of a session are not among it."""


class Whose(NamedTuple):
    """Whom a server connection serves."""

    user: str
    database: str


class Client:
    """A client, and the server connection that it has for the moment; `awaited`: replies that are to come."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.backend: Backend | None = None
        self.awaited = 0
        self.asks = False

    def tell(self, kinds: list[int]) -> None:
        """Note what it sends."""
        self.awaited += sum(kind in ASKING for kind in kinds)
        self.asks = kinds[-1] not in ASKING

    @property
    def is_served(self) -> bool:
        """Whether it has all replies to all that it sent."""
        return not self.awaited and not self.asks


class Backend:
    """A server connection, and the client that has it; `told` is what the server says of itself to whoever comes."""

    def __init__(self, wire: Wire, pool: asyncio.Queue[Backend | None]) -> None:
        self.wire = wire
        self.client: Client | None = None
        self.told = b""
        self.is_over = False
        self._pool = pool

    async def greet(self, whose: Whose) -> None:
        """Begin the session. Raises `ConnectionRefusedError`."""
        body = PROTOCOL.to_bytes(4) + f"user\0{whose.user}\0database\0{whose.database}\0\0".encode()
        await self.wire.send((len(body) + 4).to_bytes(4) + body)
        kind = 0
        while kind != READY:
            head = await self.wire.reader.readexactly(5)
            kind, rest = head[0], await self.wire.reader.readexactly(int.from_bytes(head[1:]) - 4)
            if kind == ord("E"):
                raise ConnectionRefusedError(rest)
            self.told += (head + rest) * (kind == PARAMETER)

    async def serve(self) -> None:
        """Pass on what the server says to whoever is served; what it says to nobody is lost."""
        with suppress(OSError, EOFError):
            async with self.wire:
                await self._replies()
        self.is_over = True
        if self.client is not None:
            self.client.wire.cut()
            self._pool.put_nowait(None)

    async def _replies(self) -> None:
        buffer = bytearray()
        async for chunk in self.wire.chunks():
            buffer += chunk
            passed = 0
            for kind, _, end in messages(buffer):
                if self.client is not None:
                    self.client.wire.writer.write(buffer[passed:end])
                    if kind == READY:
                        self._answered(self.client, in_transaction=buffer[end - 1] != IDLE)
                passed = end
            del buffer[:passed]
            if self.client is not None:
                await self.client.wire.writer.drain()

    def _answered(self, client: Client, *, in_transaction: bool) -> None:
        client.awaited -= 1
        if client.is_served and not in_transaction:
            client.backend = self.client = None
            self._pool.put_nowait(self)


class Pooler(Relay):
    """Takes connections on a Unix socket in the server's folder; `size` of its own serve each user and database."""

    def __init__(self, server: Server, size: int = 3) -> None:
        self._server = server
        self._size = size
        self._number = free_port()
        self._pools: dict[Whose, asyncio.Queue[Backend | None]] = {}

    def url(self, database: str = "postgres") -> str:
        """Where a database is, by way of the pooler."""
        return f"postgresql://postgres@{quote(str(self._server.folder), safe='')}:{self._number}/{database}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._accept, self._socket(self._number))

    def _socket(self, number: int) -> str:
        return f"{self._server.folder}/.s.PGSQL.{number}"

    async def _serve(self, wire: Wire) -> None:
        code, first = await startup(wire)
        if code == CANCEL:
            return
        words = first[8:].decode().split("\0")
        asked = dict(zip(words[::2], words[1::2], strict=False))
        if unknown := asked.keys() - KNOWN - {""}:
            text = f"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: {min(unknown)}\0\0"
            await wire.send(message(b"E", text.encode()))
            return
        await self._welcome(wire, Whose(asked["user"], asked.get("database", asked["user"])))

    async def _welcome(self, wire: Wire, whose: Whose) -> None:
        backend = await self._take(whose)
        self._pools[whose].put_nowait(backend)
        made_up = message(b"K", secrets.token_bytes(8))
        await wire.send(TRUSTED + backend.told + made_up + message(b"Z", bytes([IDLE])))
        client = Client(wire)
        try:
            await self._requests(client, whose)
        finally:
            if client.backend is not None:  # it leaves in the middle of a transaction
                client.backend.wire.cut()

    async def _requests(self, client: Client, whose: Whose) -> None:
        buffer = bytearray()
        async for chunk in client.wire.chunks():
            buffer += chunk
            found = list(messages(buffer))
            kinds = [kind for kind, _, _ in found]
            if TERMINATE in kinds:
                return
            if found:
                if client.backend is None:
                    client.backend = await self._take(whose)
                    client.backend.client = client
                client.tell(kinds)
                end = found[-1][2]
                await client.backend.wire.send(buffer[:end])
                del buffer[:end]

    async def _take(self, whose: Whose) -> Backend:
        """Return the server connection that was idle for longest, or a new one while there may be more."""
        pool = self._pools.get(whose)
        if pool is None:
            pool = self._pools[whose] = asyncio.Queue()
            for _ in range(self._size):
                pool.put_nowait(None)
        backend = await pool.get()
        if backend is not None and not backend.is_over:
            return backend
        try:
            return await self._connected(whose, pool)
        except BaseException:
            pool.put_nowait(None)
            raise

    async def _connected(self, whose: Whose, pool: asyncio.Queue[Backend | None]) -> Backend:
        path = self._socket(self._server.port)
        backend = Backend(Wire(*await asyncio.open_unix_connection(path)), pool)
        try:
            await backend.greet(whose)
        except BaseException:
            backend.wire.cut()
            raise
        self._begin(backend.serve())
        return backend
