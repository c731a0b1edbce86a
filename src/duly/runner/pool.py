"""The supervisor's side: a zygote, the runners it forks, and what they say, as events.

A pool is one descriptor to wait on and `events()` to read. It decides nothing: whom to start, what to hand over and
when to stop somebody is said by the engine, or by `perform`.
"""

# long module: one runner, and the pool of them; each verb is short

from __future__ import annotations

import logging
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress

from duly import ports
from duly.core.stopping import Rung
from duly.errors import RunnerUnavailable
from duly.runner import launch, output
from duly.runner.channel import INLINE, Channel, pair
from duly.runner.line import Answers
from duly.runner.linux import LABEL, STOP_SIGNAL, Family, kill_labelled, shared_page, signal_child
from duly.wire.runner import (
    Answered,
    FromRunner,
    Mark,
    NotSpawned,
    Ready,
    Setup,
    Spawn,
    Spawned,
    Stop,
    Unheard,
    Work,
    decode_from_runner,
    decode_from_zygote,
    decode_to_runner,
    encode,
    most_packet,
)

log = logging.getLogger("duly.node")

ANSWER_SECONDS = 10.0
"""How long a zygote may owe a runner, or word of one that has ended."""

LOOK_MOST = 2.0

RECEIVE_MOST = 512
"""Packets read from one runner before the others have their turn."""


RESERVE = 8
"""Descriptors that no runner is started at the cost of: large values, signals and looks at processes need some."""


class Runner:
    """One child process as its supervisor sees it."""

    def __init__(self, number: int, most: int, epoll: select.epoll, *, capture: bool) -> None:
        self.number = number
        self.pid = 0
        self.pidfd: int | None = None
        self.ended = False
        self._most = most
        self._family: Family | None = None
        self.output: output.Reader | None = None
        self.answers: Answers | None = None
        self._passed: list[int] = []
        with ExitStack() as undo:  # where descriptors are short, none may be lost at each try
            ours, theirs = pair()
            ours.setblocking(False)
            theirs.setblocking(True)
            undo.callback(ours.close)
            undo.callback(theirs.close)
            self.channel = Channel(ours, most)
            self._theirs: socket.socket | None = theirs
            self._page_fd = shared_page(Mark.SIZE)
            undo.callback(os.close, self._page_fd)
            self._page = undo.enter_context(mmap.mmap(self._page_fd, Mark.SIZE))
            self.mark = Mark(memoryview(self._page))
            undo.callback(self.mark.close)
            self._spawn_fds = [theirs.fileno(), self._page_fd]
            if capture:
                self._capture(undo)
                self.answers = Answers(epoll)
                self._spawn_fds.append(self.answers.theirs.fileno())
            undo.pop_all()

    def __repr__(self) -> str:
        return f"<Runner {self.number} pid {self.pid}>"

    def _capture(self, undo: ExitStack) -> None:
        secret = output.new_secret()
        secret_read, secret_write = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, secret_read)
        os.write(secret_write, secret)
        os.close(secret_write)
        read, write = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, read)
        undo.callback(os.close, write)
        os.set_blocking(read, False)
        self.output = output.Reader(read, secret, self._task)
        self._passed = [write, secret_read]
        self._spawn_fds += self._passed

    def take_spawn_fds(self) -> list[int]:
        """The descriptors that go to the runner."""
        return self._spawn_fds

    def passed_on(self) -> None:
        """The runner has its descriptors: close the copies that only it needs."""
        for fd in self._passed:
            os.close(fd)
        self._passed = []
        if self.answers is not None:
            self.answers.passed_on()

    def born(self, pid: int, pidfd: int) -> None:
        """It was forked."""
        self.pid, self.pidfd = pid, pidfd
        self._family = Family(pid)

    # work
    def hand(self, work: Work) -> bool:
        """Hand over one attempt; False if that is not possible just now."""
        data = encode(work)
        try:
            self.channel.send(data, instead=encode(Unheard(work.key, work.claim)) if len(data) > INLINE else b"")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is ending: its end will say what became of this
        except OSError:  # there is no room, or no descriptor for what is large
            return False
        return True

    def receive(self) -> list[FromRunner]:
        """Read what it said; empty if it is gone."""
        messages: list[FromRunner] = []
        try:
            while len(messages) < RECEIVE_MOST:
                messages.append(decode_from_runner(self.channel.receive_alone()))
        except (BlockingIOError, ConnectionResetError):
            pass
        except ValueError:  # no message, a monstrous one, or an end: the user's code got hold of the channel
            self.signal(signal.SIGKILL)
        return messages

    def answer(self, answered: Answered) -> None:
        """Answer what it asked; who reads none of many answers is killed."""
        if self.answers is not None and not self.answers.send(answered):
            self.signal(signal.SIGKILL)

    def take_back(self) -> list[tuple[int, int]]:
        """Take back what was handed over and not read yet, as (key, claim); whoever reads a packet owns it."""
        taken: list[tuple[int, int]] = []
        if self._theirs is None:
            return taken
        end = Channel(self._theirs, self._most)
        with suppress(BlockingIOError):
            # Not to wait is said for each call: the descriptor's own flag is shared with the runner.
            while data := end.receive(int(socket.MSG_DONTWAIT)):
                work = decode_to_runner(data)
                if not isinstance(work, Stop):
                    taken.append((work.key, work.claim))
        return taken

    # stopping
    def climb(self, rung: Rung, key: int, claim: int, reason: str) -> None:
        """Stand on a rung of the ladder: ask this claim, terminate, or kill."""
        if rung == "kill":
            self.signal(signal.SIGKILL)
            return
        if rung == "ask":
            self.mark.ask(key, claim, reason)
        number = STOP_SIGNAL if rung == "ask" else signal.SIGTERM
        fork = self.mark.process()
        if fork:
            signal_child(fork, self.pid, number)
        else:
            self.signal(number)

    def stop_one(self, key: int, claim: int, reason: str) -> None:
        """Ask one of many attempts to stop; whoever blocks the others is asked by `climb`, too."""
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self.channel.send(encode(Stop(key, claim, reason)))

    def signal(self, number: int) -> None:
        """Send a signal, if it is alive."""
        if self.pidfd is not None:
            with suppress(ProcessLookupError, PermissionError):  # it may have become another user's program
                signal.pidfd_send_signal(self.pidfd, number)

    def running(self) -> tuple[int, int, int] | None:
        """Return (key, claim, nanoseconds of the monotonic clock when it began) of what runs now."""
        return self.mark.running()

    def _task(self) -> tuple[int, int] | None:
        running = self.mark.running()
        return None if running is None else running[:2]

    def retire(self) -> None:
        """Let it end by itself when it has read what it was handed."""
        with suppress(OSError):
            self.channel.sock.shutdown(socket.SHUT_WR)

    def memory(self, enough: int) -> int | None:
        """Return the anonymous memory above its level when the task began, counted exactly above `enough` bytes."""
        base = self.mark.base()
        if base is None or self._family is None:
            return None
        return max(0, self._family.memory(base + enough) - base)

    def close(self) -> None:
        """Let go of everything that belonged to it; once is enough."""
        if self._page.closed:
            return
        self.channel.close()
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None
        self.mark.close()
        self._page.close()
        os.close(self._page_fd)
        self.passed_on()
        if self.output is not None:
            self.output.close()
        if self.answers is not None:
            self.answers.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


class Pool:
    """A zygote and its runners. Not thread-safe: one loop owns it."""

    def __init__(self, node: str, environment: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
        self.node = node
        self._environment = launch.clean(os.environ if environment is None else environment)
        self._environment[LABEL] = node
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._setup: Setup | None = None
        self._epoll = select.epoll()
        self._by_fd: dict[int, Runner] = {}
        self.runners: dict[int, Runner] = {}
        self._numbers = 0
        self._looked_at = self._mute = 0.0

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._epoll.fileno()

    def start(self, setup: Setup, *, stdout: int | None = None, stderr: int | None = None) -> None:
        """Start the zygote; `Prepared` follows. Raises `RunnerUnavailable`."""
        check_platform()
        try:
            ours, theirs = pair()
        except OSError as error:
            raise RunnerUnavailable(f"no process could be started: {error}") from None
        try:
            self._process = launch.zygote(theirs.fileno(), self._environment, self._cwd, stdout, stderr)
        except OSError as error:
            ours.close()
            raise RunnerUnavailable(f"no process could be started: {error}") from None
        finally:
            theirs.close()
        self._setup = setup
        self._control = Channel(ours, most=64 * 1024 * 1024)
        self._epoll.register(ours, select.EPOLLIN)
        self._tell(launch.first_word())
        self._tell(encode(setup))

    def _tell(self, data: bytes, fds: Iterable[int] = ()) -> None:
        if self._control is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._control.send(data, list(fds))

    def spawn(self) -> Runner:
        """Ask for a runner; `Born` or `NotBorn` follows. Raises `RunnerUnavailable`."""
        assert self._setup is not None
        self._numbers += 1
        try:
            runner = Runner(
                self._numbers, most_packet(self._setup.most_bytes), self._epoll, capture=not self._setup.perform
            )
        except OSError as error:
            raise RunnerUnavailable(f"no runner could be started: {error}") from None
        try:
            _see_free(RESERVE + sum(not each.pid for each in self.runners.values()))  # one comes with each birth
        except OSError as error:
            runner.close()
            raise RunnerUnavailable(f"no runner is started that would take the last descriptors: {error}") from None
        self.runners[runner.number] = runner
        self._tell(encode(Spawn(runner.number)), runner.take_spawn_fds())
        runner.passed_on()
        return runner

    # events
    def events(self, timeout: float = 0.0) -> list[ports.RunnerEvent]:
        """Read what has happened, after waiting for at most `timeout` seconds for something to happen."""
        events: list[ports.RunnerEvent] = []
        zygote: list[ports.RunnerEvent] = []
        for fd, _ in self._epoll.poll(timeout):
            runner = self._by_fd.get(fd)
            if runner is not None and runner.answers is not None and fd == runner.answers.fileno():
                runner.answers.flush()
            elif runner is not None:
                self._hear(runner, events)
                if fd == runner.pidfd:
                    runner.ended = True
                    self._unwatch(runner)  # it has ended: the zygote will say how
                elif runner.output is not None and runner.output.at_end and fd == runner.output.fd:
                    self._unwatch_fd(fd)  # it has closed its output, and would be heard of for ever
            elif self._control is not None and fd == self._control.fileno():
                zygote = self._hear_zygote()
        return events + zygote

    def look(self, now: float) -> None:
        """See, about once a second, whether the zygote still answers; it is killed if not, and `Lost` follows.

        Counted is the time that this process was at work itself: a machine that slept, or a container that was held,
        has kept both from it.
        """
        passed, self._looked_at = min(now - self._looked_at, LOOK_MOST), now
        owes = any(not runner.pid or runner.ended for runner in self.runners.values())
        self._mute = self._mute + passed if owes else 0.0
        if self._mute > ANSWER_SECONDS and self._process is not None:
            log.error("the process that starts runners has not answered for %g s and is killed", ANSWER_SECONDS)
            self._mute = 0.0
            self._process.kill()

    def _hear(self, runner: Runner, events: list[ports.RunnerEvent]) -> None:
        """First the messages, then what was printed before they were sent; told in the other order."""
        messages = runner.receive()
        if runner.output is not None:
            events.extend(ports.Printed(runner, *piece) for piece in runner.output.read())
        if messages:
            events.append(ports.Told(runner, messages))

    def _hear_zygote(self) -> list[ports.RunnerEvent]:
        assert self._control is not None
        self._mute = 0.0
        try:
            data, fds = self._control.receive_fds()
            message = decode_from_zygote(data) if data else None
        except (ConnectionResetError, ValueError):  # no message: the user's code got hold of the channel
            message = None
        if message is None:
            return self._lost()
        if isinstance(message, Ready):
            return [ports.Prepared(message.problems, message.unshared)]
        if isinstance(message, Spawned):
            if not fds:  # this process may have no more descriptors, and cannot hold what it cannot see
                return self._lost()
            runner = self.runners[message.number]
            runner.born(message.pid, fds[0])
            self._watch(runner)
            return [ports.Born(runner)]
        runner = self.runners.pop(message.number)
        if isinstance(message, NotSpawned):
            return [ports.NotBorn(runner, message.reason)]
        return [*self._last_words(runner), ports.Ended(runner, message.signal, message.exit_code)]

    def _last_words(self, runner: Runner) -> list[ports.RunnerEvent]:
        self._unwatch(runner)
        told: list[ports.RunnerEvent] = []
        while messages := runner.receive():
            told.append(ports.Told(runner, messages))
        if runner.output is None:
            return told
        return [*(ports.Printed(runner, *piece) for piece in runner.output.read()), *told]

    def _lost(self) -> list[ports.RunnerEvent]:
        """The zygote is gone; the kernel kills its runners, and their strays are found by their label."""
        self._end_zygote()
        events: list[ports.RunnerEvent] = []
        for runner in self.runners.values():
            events += self._last_words(runner)
        self.runners.clear()
        return [*events, ports.Lost()]

    def _watch(self, runner: Runner) -> None:
        if runner.answers is not None:
            self._by_fd[runner.answers.fileno()] = runner
        fds = [runner.channel.fileno(), runner.output.fd if runner.output is not None else None, runner.pidfd]
        for fd in fds:
            if fd is not None:
                self._by_fd[fd] = runner
                self._epoll.register(fd, select.EPOLLIN)

    def _unwatch(self, runner: Runner) -> None:
        if runner.answers is not None:
            self._by_fd.pop(runner.answers.fileno(), None)
            runner.answers.close()
        for fd in [fd for fd, watched in self._by_fd.items() if watched is runner]:
            self._unwatch_fd(fd)

    def _unwatch_fd(self, fd: int) -> None:
        del self._by_fd[fd]
        self._epoll.unregister(fd)

    def _end_zygote(self) -> None:
        """Let the zygote end, which ends all it has forked; where it could not, find what is left by the label."""
        if self._control is not None:
            self._epoll.unregister(self._control)
            self._control.hang_up()
            self._control = None
        if self._process is not None and not launch.ended_well(self._process):
            kill_strays(self.node)
        self._process = None

    def sweep(self, node: str) -> int:
        """Kill what a dead node's tasks left behind; return how many processes that were."""
        return kill_strays(node)

    def close(self) -> None:
        """End the zygote and with it every runner and whatever they started; returns when all are gone."""
        self._end_zygote()
        for runner in self.runners.values():
            self._unwatch(runner)
            runner.close()
        self.runners.clear()
        self._epoll.close()


def _see_free(count: int) -> None:
    """Raise `OSError` unless so many more descriptors could be opened."""
    with ExitStack() as close:
        for _ in range(count):
            close.callback(os.close, os.eventfd(0, os.EFD_CLOEXEC))


def check_platform() -> None:
    """Raise `RunnerUnavailable` where this release cannot hold a process and all it starts."""
    if not sys.platform.startswith("linux"):
        raise RunnerUnavailable(f"this release runs tasks on Linux only, not on {sys.platform}")


def kill_strays(node: str, seconds: float = 1.0) -> int:
    """Kill all processes that carry a node's label, and wait until they are gone; return how many there were."""
    until = time.monotonic() + seconds
    killed: set[int] = set()
    while (strays := kill_labelled(node)) and time.monotonic() < until:
        killed |= strays
        time.sleep(0.001)
    return len(killed)
