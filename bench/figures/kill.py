"""Killing what does not end by itself."""

from __future__ import annotations

import os
import select
import signal
import time

from bench.inside.stubborn import GRACE, TIMEOUT
from bench.measure import Effort, Figure, Line, Sample, quantile
from bench.raw import kills
from bench.trial import PATIENCE, Failed, Pipe, Told, Trial

TIMES = 2
"""As many times the usual seconds: one in a hundred is to be more than a single one."""


def kill(trial: Trial, effort: Effort) -> Sample:
    """From a task's time limit and grace (60 and 40 ms) until its runner has ended and what it started is reaped.

    The tasks heed no signal, each has left a process behind in a session of its own, and half of them spin. Two run at
    a time. Seen from outside: by the monotonic clock since the handler's first line, and by pidfds.
    """
    seconds = TIMES * effort.seconds
    with trial.pipe() as pipe:
        trial.submit("bench:stubborn", int(4 * seconds / (TIMEOUT + GRACE)), {"pipe": pipe.path})
        with trial.worker():
            return {"kill-p99": quantile(_watch(pipe, seconds), 0.99) * 1e3}


class Victim:
    """A runner that is to be killed, and the process its task has left behind; known by pidfds."""

    def __init__(self, told: Told) -> None:
        self.due = told.at / 1e9 + TIMEOUT + GRACE
        try:
            self.runner = os.pidfd_open(told.pid)
            self.left = os.pidfd_open(told.other)
        except ProcessLookupError:
            raise Failed("a task was over before anybody could look: the machine is too busy") from None

    def reaped(self) -> bool:
        """Whether not even a zombie is left of what was left behind."""
        try:
            signal.pidfd_send_signal(self.left, 0)
        except ProcessLookupError:
            return True
        return False

    def close(self) -> None:
        """Let go of it."""
        os.close(self.runner)
        os.close(self.left)


def _watch(pipe: Pipe, seconds: float) -> list[float]:
    """How much later than it was due each end came, in seconds: of all that were due in this time."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    alive: dict[int, Victim] = {}
    dying: list[Victim] = []
    lags: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or any(victim.due < until for victim in [*alive.values(), *dying]):
        for fd, _ in poll.poll(0 if dying else 100):
            if fd == pipe.fileno():
                victim = Victim(pipe.read())
                alive[victim.runner] = victim
                poll.register(victim.runner, select.POLLIN)
            else:
                poll.unregister(fd)
                dying.append(alive.pop(fd))
        for victim in [victim for victim in dying if victim.reaped()]:
            lags.append(time.monotonic() - victim.due)
            dying.remove(victim)
            victim.close()
        if dying:
            time.sleep(0.0001)
        if time.monotonic() > until + PATIENCE:
            raise Failed("something that was to be killed lives on")
    for victim in [*alive.values(), *dying]:
        victim.close()
    if not lags:
        raise Failed("nothing was killed")
    return lags


def raw(_trial: Trial, effort: Effort) -> Sample:
    """A process that sleeps until a moment, kills a child and then what that has left behind, and reaps both."""
    return {"kill-p99": quantile(kills.lags(effort.seconds), 0.99) * 1e3}


KILL = Figure("kill", (Line("kill-p99", "ms", must=40.0, aim=5.0, less=True),), kill, raw)
