"""`perform`: one callable, in a process of its own, now; with limits that hold and an honest answer."""

from __future__ import annotations

import asyncio
import math
import os
import select
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from signal import SIGKILL
from typing import Any, NamedTuple

import msgspec

from duly.core import jsonvalue, units
from duly.core.endings import ending_of, exception_of
from duly.core.outcome import Died, Failure, Interrupted, Invalid, Outcome, OutOfMemory, Raised, Success, TimedOut
from duly.core.stopping import Stopping
from duly.errors import OptionInvalid, RunnerUnavailable, TargetNotFound
from duly.ports import Ended, Lost, NotBorn, RunnerEvent, Told
from duly.runner import targets
from duly.runner.pool import Pool, Runner
from duly.wire.runner import Done, Setup, Work

MOST_BYTES = 1 << 30
"""Bytes of options and of a result, at most."""

START_SECONDS = 60.0
"""How long the process may take until it begins; a machine that slow cannot run it."""

START_LOOK_SECONDS = 0.002
GONE_SECONDS = 2.0
"""How long after a kill its end must be told; what is left then goes when the pool is closed."""

LOOK_SECONDS = 3600.0
_KEY = _CLAIM = 1


class Performed(NamedTuple):
    """The outcome of a callable that answered: `ok`, and the value it gave."""

    ok: bool
    value: Any


class Limits(NamedTuple):
    """What bounds a performance: seconds and bytes, None for no limit."""

    timeout: float | None
    grace: float
    memory: int | None


def perform(
    target: object,
    options: Any = None,
    *,
    timeout: units.Seconds | None = None,
    grace: units.Seconds = 2.0,
    memory: units.Size | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Performed:
    """Run one callable in a process of its own and return `(ok, value)`.

    `target` is `"package.module:function"`, `"path/to/file.py:function"`, a module or file alone (then its attribute
    `task`), or a function at the top of a module; `def` or `async def`. It gets one argument, a copy of `options`,
    which is a JSON value. Its plain value gives `(True, value)`, a bare bool `(ok, None)`, and `duly.Success(value)`
    or `duly.Failure(value)` say both.

    `timeout` (seconds, or text like `"1m"`) is when it is asked to stop; after half the `grace` it is terminated,
    after all of it killed. `memory` (bytes, or text like `"512MiB"`) bounds the memory that it and its children use.
    `env` replaces the environment, `cwd` the working directory. stdout and stderr pass through.

    Raises `TaskFailed` for an exception (at import, in the call, uncaught in a thread or callback that it started),
    `TaskTimedOut`, `TaskDied`, `OutOfMemory`, `RunnerUnavailable`, `TargetNotFound`, `PayloadInvalid`. When it
    returns or raises, also after Ctrl-C, the process and all that it started are gone.

    >>> perform("math:sqrt", 16)
    Performed(ok=True, value=4.0)
    """
    return _judge(_Performance(target, options, limits_of(timeout, grace, memory), env, cwd).wait())


async def aperform(
    target: object,
    options: Any = None,
    *,
    timeout: units.Seconds | None = None,  # noqa: ASYNC109 - the callable's limit, not the caller's
    grace: units.Seconds = 2.0,
    memory: units.Size | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Performed:
    """Like `perform`, from async code; when it is cancelled, the process is stopped before the cancellation goes on."""
    return _judge(await _Performance(target, options, limits_of(timeout, grace, memory), env, cwd).async_wait())


def limits_of(timeout: units.Seconds | None, grace: units.Seconds, memory: units.Size | None) -> Limits:
    """Read the limits as users write them, or raise `OptionInvalid`."""
    return Limits(units.time_limit(timeout), units.seconds(grace, "grace"), units.memory_limit(memory))


def _judge(outcome: Outcome) -> Performed:
    match outcome:
        case Success(value):
            return Performed(ok=True, value=value)
        case Failure(value, _):
            return Performed(ok=False, value=value)
        case _:
            ending = ending_of(outcome)
            raise exception_of(ending, ending.kind)


class _Performance:
    """One performance: it runs in a thread of its own and its caller only waits, so that no Ctrl-C can tear it."""

    def __init__(
        self,
        target: object,
        options: Any,
        limits: Limits,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        stdout: int | None = None,
    ) -> None:
        self._target = targets.describe(target)
        self._payload = jsonvalue.dump_given(options, MOST_BYTES).decode()
        self._limits = limits
        self._env = None if env is None else _checked(env)
        self._cwd = None if cwd is None else _folder(cwd)
        self._stdout = stdout
        self._done: Future[Outcome] = Future()
        self._wake: int | None = None
        self._wake_lock = threading.Lock()
        self._stopped = False
        self._hurry = False

    def wait(self) -> Outcome:
        """Run it, and wait; a Ctrl-C stops it (a second one at once) before it goes on."""
        thread = self._thread()
        try:
            _start(thread)
            wait([self._done])
        except RunnerUnavailable:
            raise
        except BaseException:
            self._stop()
            self._wait_on(thread)
            raise
        return self._done.result()

    def _wait_on(self, thread: threading.Thread) -> None:
        """Wait though interrupted; not by `join`: Python 3.11 takes a thread whose join was interrupted for ended."""
        while not self._done.done():
            try:
                wait([self._done], timeout=1.0)
            except KeyboardInterrupt:
                self._stop(hurry=True)
            if thread.ident is None:  # the interruption came before it was started
                return

    async def async_wait(self) -> Outcome:
        """Run it, and await; a cancel stops it (a second one at once) before it goes on."""
        _start(self._thread())
        waiting = asyncio.wrap_future(self._done)
        try:
            return await asyncio.shield(waiting)
        except GeneratorExit:  # its loop is gone, and nobody can wait for anything
            self._stop(hurry=True)
            raise
        except asyncio.CancelledError:
            self._stop()
            while not waiting.done():
                try:
                    await asyncio.wait([waiting])
                except asyncio.CancelledError:
                    self._stop(hurry=True)
            with suppress(BaseException):
                waiting.result()
            raise

    def _stop(self, *, hurry: bool = False) -> None:
        with self._wake_lock:
            self._stopped = True
            self._hurry = self._hurry or hurry
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def _thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="duly-perform", daemon=True)

    def _run(self) -> None:
        try:
            outcome = self._performed()
        except OSError as error:
            self._done.set_exception(RunnerUnavailable(f"no process could be started: {error}"))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._done.set_exception(error)
        else:
            self._done.set_result(outcome)

    @contextmanager
    def _waking(self) -> Iterator[int]:
        """A descriptor that says when to look at `_stopped`; none is written to once it is closed."""
        wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        with self._wake_lock:
            self._wake = wake
        try:
            yield wake
        finally:
            with self._wake_lock:
                self._wake = None
            os.close(wake)

    def _performed(self) -> Outcome:
        pool = Pool("perform-" + os.urandom(8).hex(), self._env, self._cwd)
        limits = self._limits
        runner: Runner | None = None
        try:
            setup = Setup(targets=[self._target], preload=False, perform=True, most_bytes=MOST_BYTES)
            pool.start(setup, stdout=self._stdout)
            runner = pool.spawn()
            work = Work(_KEY, _CLAIM, 0, payload=self._payload, limit=limits.timeout, memory=limits.memory)
            runner.hand(work)
            with self._waking() as wake:
                return self._watch(pool, runner, wake)
        finally:
            pool.close()
            if runner is not None:
                runner.close()

    def _watch(self, pool: Pool, runner: Runner, wake: int) -> Outcome:
        """Wait for the answer, climbing the ladder where a limit is reached."""
        watch = _Watch(runner, self._limits)
        poll = select.poll()
        poll.register(pool, select.POLLIN)
        poll.register(wake, select.POLLIN)
        if self._stopped:  # before there was anything to wake
            watch.stop(hurry=self._hurry)
        while not watch.over(now := time.monotonic()):
            seconds = min(max(0.0, watch.look(now) - now), LOOK_SECONDS)
            ready = {fd for fd, _ in poll.poll(math.ceil(seconds * 1000))}
            if wake in ready:
                os.eventfd_read(wake)
                watch.stop(hurry=self._hurry)
            for event in pool.events():
                outcome = watch.hear(event)
                if outcome is not None:
                    return outcome
        return watch.given_up()


class _Watch:
    """What is known of the one runner: when to look again, and what it came to."""

    def __init__(self, runner: Runner, limits: Limits) -> None:
        self._runner = runner
        self._limits = limits
        self._stopping = Stopping(limits.timeout, limits.grace, limits.memory)
        self._start_by: float | None = time.monotonic() + START_SECONDS
        self._gone_by = math.inf

    def look(self, now: float) -> float:
        """Do what is due, and return when to look again."""
        if self._start_by is not None:
            running = self._runner.running()
            if running is not None:
                self._start_by = None
                self._stopping.began(running[2] / 1e9)
            elif now >= self._start_by:
                raise RunnerUnavailable(f"the process did not begin within {START_SECONDS:g} s")
        limit = self._stopping.measures
        if limit is not None:
            self._stopping.measured(self._runner.memory(limit) or 0)
        rung, again = self._stopping.look(now)
        if rung is not None:
            self._runner.climb(rung, _KEY, _CLAIM, self._stopping.reason or "")
        if rung == "kill":
            self._gone_by = now + GONE_SECONDS
        return min(again if self._start_by is None else now + START_LOOK_SECONDS, self._gone_by)

    def over(self, now: float) -> bool:
        """Whether it was killed so long ago that nobody will tell of its end: what tells is stopped itself."""
        return now >= self._gone_by

    def given_up(self) -> Outcome:
        """What it came to if nobody told of its end."""
        return self._decided() or Died(SIGKILL)

    def stop(self, *, hurry: bool) -> None:
        """Its caller wants it stopped."""
        if self._runner.running() is None:  # no code that could be asked: all of it goes when the pool is closed
            self._gone_by = 0.0
        self._stopping.ask("cancel", time.monotonic(), 0.0 if hurry else None)

    def hear(self, event: RunnerEvent) -> Outcome | None:
        """Return the outcome if this event decides it."""
        match event:
            case Told(_, messages):
                for message in messages:
                    if isinstance(message, Done):
                        return self._decided() or _outcome(message, self._limits)
            case Ended(_, signal, exit_code):
                return self._decided() or Died(signal, exit_code)
            case NotBorn(_, reason):
                raise RunnerUnavailable(f"no process could be started: {reason}")
            case Lost():
                if self._runner.pidfd is None:
                    raise RunnerUnavailable("the process that was to start it ended")
                return self._decided() or Died(SIGKILL)
        return None

    def _decided(self) -> Outcome | None:
        """What was decided before it answered or ended."""
        match self._stopping.reason:
            case "timeout":
                return TimedOut(self._limits.timeout or 0.0)
            case "memory":
                return OutOfMemory(self._stopping.peak, self._limits.memory)
            case None:
                return None
            case reason:
                return Interrupted(reason)


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise RunnerUnavailable(f"no thread could be started: {error}") from None


def _folder(cwd: Any) -> str:
    try:
        return os.fsdecode(cwd)
    except TypeError:
        raise OptionInvalid(f"bad cwd {cwd!r}: the path of a folder") from None


def _checked(env: Any) -> Mapping[str, str]:
    if not isinstance(env, Mapping):
        raise OptionInvalid(f"bad env {env!r}: a mapping of names to texts, which replaces the environment")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str) or "=" in name or "\0" in name + value:
            raise OptionInvalid(f"env: {name!r} with the value {value!r} cannot stand in an environment")
    return env


def _outcome(done: Done, limits: Limits) -> Outcome:
    value = msgspec.json.decode(done.value) if done.value is not None else None
    match done.kind:
        case "success":
            return Success(value)
        case "failure":
            return Failure(value)
        case "memory":
            return OutOfMemory(done.peak, limits.memory)
        case "missing":
            raise TargetNotFound(done.error.message if done.error else "")
        case "raised" if done.error:
            return Raised(done.error)
        case "invalid" if done.error:
            return Invalid(done.error)
        case _:
            return Interrupted(done.kind)


def perform_to(target: object, options: Any, limits: Limits, stdout: int) -> Performed:
    """Like `perform`, with the target's standard output sent to another descriptor; for the command line."""
    return _judge(_Performance(target, options, limits, None, None, stdout).wait())
