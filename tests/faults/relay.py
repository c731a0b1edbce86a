"""What stands between clients and a PostgreSQL server, and just enough of the protocol to tell messages apart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")

CHUNK = 65_536
ENCRYPTION = {80877103, 80877104}
"""Codes of what a client asks for first, if it would rather be encrypted: by TLS, by GSSAPI."""

CANCEL = 80877102
SECONDS = 30.0


class Relay:
    """Serves clients on an event loop, in a thread of its own, while it is entered."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problems: list[BaseException] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        self._listener = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for problem in self._problems:
            raise problem

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have something done on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    async def _serve(self, client: Wire) -> None:
        raise NotImplementedError

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin(self._use(Wire(reader, writer)))

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._problems.append(problem)

    async def _use(self, client: Wire) -> None:
        with suppress(OSError, EOFError):
            async with client:
                await self._serve(client)

    async def _leave(self) -> None:
        self._listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Wire:
    """A connection. Leaving it closes it when all is sent, or cuts it after an error."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, error: object, *_: object) -> None:
        if error is not None:
            self.cut()
        self.writer.close()
        try:
            with suppress(OSError):
                await self.writer.wait_closed()
        finally:
            self.cut()

    async def send(self, data: bytes | bytearray) -> None:
        """Send; waits while too much is under way."""
        self.writer.write(data)
        await self.writer.drain()

    def cut(self) -> None:
        """End it at once; what was written and is not sent never will be."""
        self.writer.transport.abort()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes, until the other side's end."""
        while chunk := await self.reader.read(CHUNK):
            yield chunk


async def startup(client: Wire) -> tuple[int, bytes]:
    """Read the first message of a client, its code and the whole; that nothing is encrypted here it is told."""
    while True:
        head = await client.reader.readexactly(8)
        size, code = int.from_bytes(head[:4]), int.from_bytes(head[4:])
        if code not in ENCRYPTION:
            return code, head + await client.reader.readexactly(size - 8)
        await client.send(b"N")


def messages(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, the beginning and the end of each whole message."""
    begin = 0
    while len(data) >= begin + 5:
        end = begin + 1 + int.from_bytes(data[begin + 1 : begin + 5])
        if end > len(data):
            return
        yield data[begin], begin, end
        begin = end


def message(kind: bytes, body: bytes) -> bytes:
    """Make a message."""
    return kind + (len(body) + 4).to_bytes(4) + body


async def first_of(*ways: Coroutine[Any, Any, None]) -> None:
    """Go all ways until the first comes to its end, or to one of its connections."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, OSError | EOFError):
            raise end
