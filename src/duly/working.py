"""Where a worker may be started, and a worker as a context manager."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import TYPE_CHECKING, Self

from duly.errors import WorkerMisplaced
from duly.runner.context import HERE

if TYPE_CHECKING:  # a submitter needs none of the engine's loops
    from duly.engine.worker import Worker


class Working:
    """A worker as a context manager, sync and async."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._pid = 0

    def __enter__(self) -> Self:
        self._enter()
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid == os.getpid():  # a fork has none of the worker's threads and processes
            self._worker.close()

    def hurry(self) -> None:
        """Stop what runs, which is given back; on leaving nothing is waited for but its grace."""
        self._worker.stop(hurry=True)

    def _enter(self) -> None:
        if self._pid:
            raise WorkerMisplaced("a worker is used once; make another by app.worker()")
        self._pid = os.getpid()

    async def __aenter__(self) -> Self:
        import asyncio  # noqa: PLC0415 - sync code need not pay for it

        self._enter()
        try:
            await asyncio.to_thread(self._worker.start)
        except asyncio.CancelledError:  # the thread goes on all the same
            await asyncio.shield(asyncio.to_thread(self._worker.close))
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        import asyncio  # noqa: PLC0415

        if self._pid == os.getpid():
            await asyncio.to_thread(self._worker.close)


def refuse_misplaced(what: str) -> None:
    """Raise `WorkerMisplaced` while a module is imported, or in a handler.

    A worker imports the module that declares its actions: started by that import it would start itself for ever.
    """
    importing = False
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to one's own callers
    while frame is not None and not importing:
        code = frame.f_code
        importing = code.co_filename == "<frozen importlib._bootstrap>" and code.co_name == "_load_unlocked"
        frame = frame.f_back
    if HERE.inside and not importing:
        raise WorkerMisplaced(
            f"{what} was called in a task's process; there is a worker already, for it runs this task"
        )
    if importing:
        raise WorkerMisplaced(
            f"{what} was called while a module is imported; call it in a function, or in the program's own file under "
            "`if __name__ == '__main__':`"
        )
