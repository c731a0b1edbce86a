"""Workers, and what happens to them: any of them, or any of their processes, is killed, stopped or continued."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence

from tests.faults.effects import Effect, read
from tests.faults.run import Run
from tests.helpers import eventually, parent
from tests.place import Place

Worker = subprocess.Popen[bytes]

BUSY_SHARE = 0.8


class Killer:
    """The workers of a place, whom the dice of a run may hit. `hits` counts what was killed."""

    def __init__(self, place: Place, run: Run, *options: str) -> None:
        self._place = place
        self._run = run
        self._options = options
        self.workers: list[Worker] = []
        self.hits = 0

    # workers
    def start(self, count: int = 1) -> list[Worker]:
        """Start workers, and return when all have enlisted."""
        started = [self._place.start(*self._options) for _ in range(count)]
        self.workers += started
        return started

    def launch(self) -> Worker:
        """Start a worker, and wait for nothing."""
        worker = self._place.launch(*self._options)
        self.workers.append(worker)
        return worker

    def any(self) -> Worker:
        """One of the workers."""
        return self._run.dice.choice(self.workers)

    def enlisted(self) -> list[Worker]:
        """Those that have begun to work."""
        nodes = {node.label.rpartition(":")[2] for node, _ in self._place.app.nodes()}
        return [worker for worker in self.workers if str(worker.pid) in nodes]

    def at_work(self) -> Worker:
        """One of those that have begun to work, as soon as there is one."""
        return self._run.dice.choice(eventually(self.enlisted))

    def one_of_many(self) -> Worker:
        """One of those that have begun to work, if somebody is left to work then."""
        enlisted = self.enlisted()
        return self._run.dice.choice(enlisted if len(enlisted) > 1 else self.workers)

    def kill(self, worker: Worker | None = None) -> None:
        """Kill the supervisor of a worker, and nothing else of it."""
        worker = worker or self.any()
        self.workers.remove(worker)
        worker.kill()
        worker.wait()
        self.hits += 1

    def replace(self, worker: Worker | None = None) -> None:
        """Kill a worker, and start another in its place."""
        self.kill(worker)
        self.launch()

    def kill_all(self) -> list[int]:
        """Kill every supervisor, zygote and runner, in any order; return what they had started and is left."""
        zygotes = [pid for worker in self.workers for pid in self.zygotes(worker)]
        runners = [pid for pid in self._place.left() if parent(pid) in zygotes]
        pids = [worker.pid for worker in self.workers] + zygotes + runners
        self._run.dice.shuffle(pids)
        self.hits += send(signal.SIGKILL, pids)
        for worker in self.workers:
            worker.wait()
        self.workers.clear()
        return self._place.left()

    def stop_all(self) -> list[int]:
        """Tell all workers to end well, when each of them has begun; return their exit codes."""
        eventually(lambda: len(self.enlisted()) == len(self.workers))
        codes = [self._place.stop(worker) for worker in self.workers]
        self.workers.clear()
        return codes

    # their processes
    def inner(self) -> list[int]:
        """The processes within the workers: zygotes, runners, and what those have started."""
        workers = {worker.pid for worker in self.workers}
        return [pid for pid in self._place.left() if pid not in workers]

    def zygotes(self, worker: Worker) -> list[int]:
        """The process of a worker that starts its runners: one, or none while it is made anew."""
        return [pid for pid in self._place.left() if parent(pid) == worker.pid]

    def runners(self, worker: Worker) -> list[int]:
        """The processes of a worker that run tasks, and what those have started."""
        zygotes = set(self.zygotes(worker))
        return [pid for pid in self.inner() if pid not in zygotes and _descends(pid, zygotes)]

    def hit_runner(self) -> bool:
        """Kill one process below a worker's zygote: most often one that runs a task now; whether there was any."""
        runners = self.runners(self.any())
        busy = executing(read(self._place.effects)) & set(runners)
        chosen = sorted(busy) if busy and self._run.dice.random() < BUSY_SHARE else runners
        hit = bool(chosen) and send(signal.SIGKILL, [self._run.dice.choice(chosen)]) == 1
        self.hits += hit
        return hit


def executing(effects: Sequence[Effect]) -> set[int]:
    """The processes of executions that have begun and not come to an end."""
    begun = {(effect.pid, effect.began) for effect in effects if effect.what == "begin"}
    return {pid for pid, _ in begun - {(effect.pid, effect.began) for effect in effects if effect.what == "end"}}


def send(number: int, pids: Iterable[int]) -> int:
    """Send a signal to processes; return how many of them were still there."""
    sent = 0
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        sent += 1
    return sent


def stop(pids: Iterable[int]) -> list[int]:
    """Stop processes; return those that have come to stand still, when they have."""
    stopped = [pid for pid in pids if send(signal.SIGSTOP, [pid])]
    eventually(lambda: all(_state(pid) in "TZX" for pid in stopped))
    return [pid for pid in stopped if _state(pid) == "T"]


def go_on(pids: Iterable[int]) -> int:
    """Let stopped processes continue; return how many of them were still there."""
    return send(signal.SIGCONT, pids)


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _descends(pid: int, ancestors: set[int]) -> bool:
    while pid > 1 and pid not in ancestors:
        pid = parent(pid)
    return pid in ancestors
