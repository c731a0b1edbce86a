"""`duly worker --reload`: a worker that begins anew, as a new program, when a source file of its App has changed.

Files are looked at twice a second. To be told by the kernel would take a library, or system calls that Python does not
have; to look at some hundred files takes a millisecond.
"""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn

import click

from duly.cli.exits import tell_of
from duly.cli.streams import say
from duly.engine.worker import Worker
from duly.errors import HandlerUnavailable, InvalidInput, WorkerMisplaced

LOOK_SECONDS = 0.5
SETTLED_SECONDS = 0.1
"""For so long files must stay as they are: an editor may write several."""

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INSTALLED = tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})


class Sources:
    """The Python files beside all modules of the user's that are imported, and in the current directory."""

    def __init__(self) -> None:
        self._folders = {os.getcwd()}
        self._seen: dict[str, tuple[int, int]] = {}

    def note(self, error: BaseException | None = None) -> None:
        """Remember how they are now; with an error, also those that it comes from."""
        self._folders |= {os.path.dirname(file) for file in _imported()}
        self._folders |= {os.path.dirname(os.path.abspath(file)) for file in _files_of(error)}
        self._seen = self._look()

    def changed(self) -> str | None:
        """Return one that has changed, come or gone, if there is one and they have settled."""
        now = self._look()
        if now == self._seen:
            return None
        before = None
        while now != before:
            before, now = now, self._after(SETTLED_SECONDS)
        names = {file for file, _ in now.items() ^ self._seen.items()}
        return min(names, default=None)

    def _after(self, seconds: float) -> dict[str, tuple[int, int]]:
        threading.Event().wait(seconds)
        return self._look()

    def _look(self) -> dict[str, tuple[int, int]]:
        return {file: stamp for folder in self._folders for file, stamp in _python_files(folder)}


def _imported() -> Iterator[str]:
    for module in list(sys.modules.values()):
        for place in [getattr(module, "__file__", None), *_paths(module)]:
            if isinstance(place, str) and _is_users(os.path.realpath(place)):
                yield os.path.abspath(place)


def _paths(module: object) -> list[str]:
    """The folders of a package without a file of its own."""
    try:
        return [os.path.join(str(path), "") for path in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - any object may stand in for a module
        return []


def _is_users(path: str) -> bool:
    parts = path.split(os.sep)
    return not (path.startswith((OURS + os.sep, *INSTALLED)) or "site-packages" in parts or "dist-packages" in parts)


def _files_of(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if os.path.isfile(file) and _is_users(os.path.realpath(file)):
                yield file
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def _python_files(folder: str) -> Iterator[tuple[str, tuple[int, int]]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    found = entry.stat()
                    yield entry.path, (found.st_mtime_ns, found.st_size)
    except OSError:  # gone, or just being replaced
        return


def run_reloading(make_worker: Callable[[], Worker]) -> None:
    """Make a worker, which imports the App, and let it work until signalled; begin anew at each change.

    What cannot be imported is said, and the next change awaited.
    """
    sources, place = Sources(), os.getcwd()
    try:
        worker = make_worker()
        sources.note()
        changed = _work(worker, sources)
    except (click.ClickException, HandlerUnavailable, InvalidInput, WorkerMisplaced) as error:
        tell_of(error)
        sources.note(error)
        changed = _await_change_or_signal(sources)
    if changed is not None:
        say(f"{os.path.relpath(changed, place)} has changed: starting anew")
        _begin_anew(place)


def _work(worker: Worker, sources: Sources) -> str | None:
    """Work until signalled (None), or until a file has changed: which."""
    over = threading.Event()
    changed: list[str] = []

    def watch() -> None:
        file = _await_change(sources, over)
        if file is not None:
            changed.append(file)
            worker.stop()

    watcher = threading.Thread(target=watch, name="duly-reload", daemon=True)
    watcher.start()
    try:
        worker.run_until_signalled()
    finally:
        over.set()
        watcher.join()
    return changed[0] if changed and not worker.signalled else None


def _await_change_or_signal(sources: Sources) -> str | None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        say("waiting for a change", always=True)
        return _await_change(sources, threading.Event())
    except KeyboardInterrupt:
        return None
    finally:
        signal.signal(signal.SIGTERM, before)


def _await_change(sources: Sources, over: threading.Event) -> str | None:
    while not over.wait(LOOK_SECONDS):
        file = sources.changed()
        if file is not None:
            return file
    return None


def _begin_anew(place: str) -> NoReturn:
    """Become the same command once more: nothing of what was imported is left."""
    os.chdir(place)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program itself
