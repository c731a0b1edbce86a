"""A zygote: a small single-threaded process that imports the user's code once and forks runners from itself.

It holds no store, secret or socket but its control channel. It inherits the orphans of its runners and kills them: a
child that it did not fork is what some task left behind. When its supervisor is gone it kills everything and ends.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

from duly.errors import ErrorData, TargetNotFound
from duly.runner import failures, output
from duly.runner.channel import Channel
from duly.runner.child import Child, serve
from duly.runner.context import HERE, asker
from duly.runner.handler import Handler
from duly.runner.line import Line, line_end
from duly.runner.linux import (
    become_subreaper,
    children_of,
    die_with_parent,
    fill_standard_files,
    keep_freed_memory,
    kill_all_below,
)
from duly.wire.runner import (
    Gone,
    Mark,
    NotSpawned,
    Problem,
    Ready,
    Setup,
    Spawn,
    Spawned,
    decode_to_zygote,
    encode,
)

SWEEP_SECONDS = 0.5
"""How long a sweep waits for killed strays; those that the kernel does not let die, or that fork on, have another."""

AGAIN_MS = 100


class Zygote:
    """The loop of the zygote's process."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._runners: dict[int, int] = {}
        self._handlers: dict[int, Handler] = {}
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._parent = os.getppid()
        self._swept = True

    def run(self) -> bool:
        """Serve until the supervisor closes the control channel or ends; return whether all was ended."""
        HERE.inside = True
        _forget_inherited_signals()
        keep_freed_memory()
        become_subreaper()
        die_with_parent()
        setup = decode_to_zygote(self._control.receive())
        assert isinstance(setup, Setup)
        self._setup = setup
        if not setup.perform:
            self._ready_for_actions()
        with suppress(ConnectionError):  # a supervisor that is gone may have left unread what was told
            self._control.send(encode(self._prepare()))
            die_with_parent(signal.SIGCHLD)  # from now on this wakes it, and leaves time to sweep
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            self._serve()
        return self._end_everything()

    def _ready_for_actions(self) -> None:
        """What an action's task prints and logs is told from others'; to be done before the user's code comes in."""
        from duly.runner import tasklog  # noqa: PLC0415 - `perform` can do without logging

        self._streams = output.Streams()
        tasklog.mark_all()

    def _prepare(self) -> Ready:
        problems: list[Problem] = []
        unshared: list[str] = []
        if self._setup.preload:
            before = frozenset(_sockets())
            for index, target in enumerate(self._setup.targets):
                problem = self._load(index)
                if problem is not None:
                    problems.append(problem)
                if not unshared:
                    unshared = [f"{target.module or target.file} {did}" for did in _unshared(before)]
            gc.collect()
        gc.freeze()
        output.flush()  # or every runner would print it once more
        return Ready(problems=problems, unshared=unshared)

    def _load(self, index: int) -> Problem | None:
        try:
            self._handlers[index] = Handler(self._setup.targets[index])
        except TargetNotFound as error:
            return Problem(index, ErrorData(type="TargetNotFound", message=str(error)), found=False)
        except BaseException as error:  # noqa: BLE001 - an import runs user code, which may raise anything
            return Problem(index, failures.describe(error))
        return None

    # spawning
    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(None if self._swept else AGAIN_MS)}
            if not ready:
                self._sweep()
            if self._woken in ready:
                self._reap()
                if os.getppid() != self._parent:
                    return  # though the channel is not at its end: a fork of the supervisor holds a copy
            if self._control.fileno() in ready:
                data, fds = self._control.receive_fds()
                if not data:
                    return
                message = decode_to_zygote(data)
                assert isinstance(message, Spawn)
                self._spawn(message.number, fds)

    def _spawn(self, number: int, fds: list[int]) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._control.send(encode(NotSpawned(number, error.strerror or str(error))))
        else:
            if pid == 0:
                self._become_runner(parent, fds)
            self._runners[pid] = number
            pidfd = os.pidfd_open(pid)
            self._control.send(encode(Spawned(number, pid)), [pidfd])
            os.close(pidfd)
        for fd in fds:
            os.close(fd)

    def _become_runner(self, parent: int, fds: list[int]) -> NoReturn:
        """The child's side of the fork; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent()
            if os.getppid() != parent:
                os._exit(1)
            become_subreaper()
            for own in (self._control.fileno(), self._woken, self._wake):
                os.close(own)
            code = serve(lambda: self._run_child(fds))
        except BaseException as error:  # noqa: BLE001 - the last line of a process
            with suppress(BaseException):
                sys.stderr.write(failures.describe(error).traceback)
                output.flush()
        finally:
            os._exit(code)

    def _run_child(self, fds: list[int]) -> None:
        channel_fd, page_fd = fds[:2]
        page = mmap.mmap(page_fd, Mark.SIZE)
        os.close(page_fd)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        channel = Channel(socket.socket(fileno=channel_fd), most=2 * self._setup.most_bytes)
        writer = None
        if not self._setup.perform:
            pipe_fd, secret_fd, answers_fd = fds[2:5]
            secret = os.read(secret_fd, output.SECRET_BYTES)
            for fd in (1, 2):
                os.dup2(pipe_fd, fd)
            os.close(pipe_fd)
            os.close(secret_fd)
            writer = output.Writer(secret, self._streams)
            HERE.line = Line(channel, line_end(answers_fd), self._setup.most_bytes, asker, self._check)
        else:
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, ValueError):
                    stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        Child(self._setup, self._handlers, channel, Mark(memoryview(page))).run(writer)

    def _check(self, action: str, version: int, payload: str) -> None:
        """Raise `PayloadInvalid` for what a handler that was imported would not take."""
        for index, target in enumerate(self._setup.targets):
            if (target.name, target.version) == (action, version) and index in self._handlers:
                self._handlers[index].check(payload)

    # reaping
    def _reap(self) -> None:
        """Reap what has ended, kill what it left behind, and tell."""
        with suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass
        ended: list[tuple[int, int | None, int | None]] = []
        while (found := _ended_child()) is not None:
            number = self._runners.pop(found.si_pid, None)
            if number is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(found.si_pid, signal.SIGKILL)  # its group, while its id cannot be another's
                killed = found.si_code != os.CLD_EXITED
                ended.append((number, found.si_status if killed else None, None if killed else found.si_status))
            with suppress(ChildProcessError):
                os.waitpid(found.si_pid, 0)
        if not ended:
            return
        strays = self._sweep()
        for number, by_signal, exit_code in ended:
            self._control.send(encode(Gone(number, by_signal, exit_code, strays)))
            strays = 0

    def _sweep(self) -> int:
        """Kill and reap the children that were not forked here, and all below them; return how many.

        All are killed at once: while one was waited for, those below it could fork on.
        """
        until = time.monotonic() + SWEEP_SECONDS
        killed: set[int] = set()
        while (strays := self._strays()) and time.monotonic() < until:
            below = kill_all_below(strays)
            killed.update(below)
            for pid in below:
                with suppress(ChildProcessError):  # it is another's still, and ours when that has ended
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.0005)
        self._swept = not strays
        return len(killed)

    def _strays(self) -> list[int]:
        return [pid for pid in children_of(os.getpid()) if pid not in self._runners]

    def _end_everything(self) -> bool:
        """The supervisor is gone: leave nothing behind; return whether that was done."""
        for pid in list(self._runners):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._runners.clear()
        self._sweep()
        return not children_of(os.getpid())


def _unshared(before: frozenset[int]) -> list[str]:
    """Say what an import has made that a fork would not have, or would have in common with its parent."""
    told = []
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        told.append(f"starts threads ({', '.join(threads[:3])})")
    if not before.issuperset(_sockets()):
        told.append("opens sockets")
    return told


def _sockets() -> Iterator[int]:
    """Yield this process's descriptors of sockets, and of what waits for events of them."""
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            if os.readlink(f"/proc/self/fd/{fd}").startswith(("socket:", "anon_inode:[eventpoll]")):
                yield int(fd)


def _ended_child() -> os.waitid_result | None:
    """Return a child that has ended and is not reaped yet, if there is one."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def _forget_inherited_signals() -> None:
    """Undo what the supervisor's thread may have blocked or ignored, and its children would inherit."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def main(fd: int) -> NoReturn:
    """Be the zygote at the other end of this control channel."""
    fill_standard_files()
    os.set_inheritable(fd, False)
    control = Channel(socket.socket(fileno=fd), most=64 * 1024 * 1024)
    code = 1
    try:
        code = 0 if Zygote(control).run() else 1
    except BaseException as error:  # noqa: BLE001 - the last line of a process
        with suppress(BaseException):
            sys.stderr.write(failures.describe(error).traceback)
    finally:
        output.flush()
        os._exit(code)  # at once: threads and exit functions of the user's modules are not waited for
