"""Mixed load and mixed faults at once, on one place, and what must hold of it when they are over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from duly.core.task import State
from tests.faults import killer as killing
from tests.faults.checker import check
from tests.faults.killer import Killer, Worker
from tests.faults.mixer import entries
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import ROOT, Place

SETTLED_SECONDS = 120
ENDS = {0, -signal.SIGTERM, 2}
"""How a worker ends that is told to: well, before it could heed that, or since its import was killed before."""


class Mayhem:
    """Workers that are killed, stopped and told to end, and submitters that may be killed, too.

    `spared` are workers whose supervisor is left alone; what is below it is not.
    """

    def __init__(self, place: Place, run: Run, spared: int = 0) -> None:
        self._place = place
        self._run = run
        self._killer = Killer(place, run, "-c", "4")
        self._keeper = Killer(place, run, "-c", "4")
        self.spared = self._keeper.start(spared)
        self._killer.start(2)
        self._diaries: list[Path] = []
        self._mixers: list[subprocess.Popen[bytes]] = []
        self._ending: list[Worker] = []
        self.counts: dict[str, int] = {}
        self._faults: list[tuple[int, Callable[[], object]]] = [
            (4, self.kill_worker), (6, self.kill_runner), (2, self.kill_zygote), (2, self.stop_and_continue),
            (2, self.tell_to_end), (1, self.kill_all), (1, self.kill_mixer),
        ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for mixer in self._mixers:
            mixer.kill()
            mixer.wait()
            mixer.stdin.close() if mixer.stdin is not None else None

    # load
    def mix(self, pace: str = "0.05") -> subprocess.Popen[bytes]:
        """Start a submitter, whose threads rest for so many seconds at most."""
        self._pace = pace
        diary = self._place.folder / f"diary{len(self._diaries)}"
        with open(self._place.folder / "mixer.log", "ab") as log:
            mixer = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.mixer", str(self._run.dice.getrandbits(32)), str(diary), pace],
                cwd=ROOT, env=self._place.environment(), stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        self._diaries.append(diary)
        self._mixers.append(mixer)
        eventually(lambda: mixer.poll() is not None or diary.exists())
        return mixer

    # faults
    def may(self, weight: int, fault: Callable[[], object]) -> None:
        """Let this happen, too."""
        self._faults.append((weight, fault))

    def go_on(self, seconds: float, pause: tuple[float, float] = (0.05, 0.5)) -> None:
        """Let one fault follow the other for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._run.pause(*pause)
            (fault,) = self._run.dice.choices([f for _, f in self._faults], [weight for weight, _ in self._faults])
            fault()
            self._revive()
            self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1

    def _revive(self) -> None:
        """Replace workers that have ended, since what imports their handlers was killed before it had done so."""
        for worker in [worker for worker in self._killer.workers if worker.poll() is not None]:
            self._killer.workers.remove(worker)
            self._killer.launch()

    def kill_worker(self) -> None:
        self._killer.replace()

    def kill_runner(self) -> None:
        self._run.dice.choice((self._killer, self._keeper) if self.spared else (self._killer,)).hit_runner()

    def kill_zygote(self) -> None:
        workers = [*self._killer.workers, *self.spared]
        killing.send(9, self._killer.zygotes(self._run.dice.choice(workers))[:1])

    def stop_and_continue(self) -> None:
        """Stop any process of a worker for a while, which its own may not survive."""
        worker = self._killer.any()
        pids = [worker.pid, *self._killer.zygotes(worker), *self._killer.runners(worker)]
        chosen = self._run.dice.sample(pids, self._run.dice.randint(1, len(pids)))
        killing.send(19, chosen)
        self._run.pause(0.0, 0.5)
        killing.go_on(chosen)

    def tell_to_end(self) -> None:
        """Tell a worker to end, perhaps twice, and start another at once."""
        worker = self._killer.any()
        self._killer.workers.remove(worker)
        self._killer.launch()
        worker.send_signal(15)
        if self._run.dice.random() < 0.5:
            self._run.pause(0.0, 0.3)
            worker.send_signal(15)
        self._ending.append(worker)

    def kill_all(self) -> None:
        """Kill all but those who are spared, at once."""
        count = len(self._killer.workers)
        for worker in list(self._killer.workers):
            self._killer.kill(worker)
        for _ in range(count):
            self._killer.launch()

    def kill_mixer(self) -> None:
        """Kill a submitter, but not the first one; another takes its place."""
        if len(self._mixers) > 1:
            mixer = self._mixers.pop()
            mixer.kill()
            mixer.communicate()
            self.give_up(self._place)
            self.mix(self._pace)

    # the end
    def settle(self) -> None:
        """Let all come to rest, and check it. Raises `AssertionError`."""
        self._revive()
        for mixer in self._mixers:
            assert mixer.stdin is not None
            mixer.stdin.close()  # it is told to end
        for mixer in self._mixers:
            mixer.wait(SETTLED_SECONDS)
        said = self.said()
        self.give_up(self._place)
        eventually(lambda: settled(self._place), SETTLED_SECONDS)
        codes = {worker.wait(SETTLED_SECONDS) for worker in self._ending}
        assert codes <= ENDS, f"workers that were told to end did so with {codes}"
        assert not said.get("wrong"), "\n".join(said["wrong"][:20]).replace("\\n", "\n")
        check(self._place, said.get("ack", ()))
        self._check_cancels(said)
        self._check_children(said)
        self._run.figure("tasks", len(set(said.get("ack", ()))))
        self._run.figure("faults", sum(self.counts.values()), ", ".join(f"{n} {c}" for n, c in self.counts.items()))

    def said(self) -> dict[str, list[str]]:
        """What the submitters have told so far."""
        return entries(self._diaries)

    def give_up(self, place: Place) -> None:
        """Cancel what would never end, and what nobody cancels if its submitter was killed."""
        place.app.cancel_all(self.said().get("hang", []), "nobody waits for it")

    def _check_cancels(self, said: dict[str, list[str]]) -> None:
        """What was answered by a yes holds for good."""
        tasks = {info.id: info.state for info in self._place.app.tasks()}
        revived = [task for task in said.get("cancelled", ()) if tasks[task] != "cancelled"]
        assert not revived, f"cancelled, and not so in the end: {revived}"

    def _check_children(self, said: dict[str, list[str]]) -> None:
        """Of a task that succeeded all children are there, of any other none."""
        known = {*said.get("try", ()), *said.get("ack", ())}
        born = [info for info in self._place.app.tasks() if info.id not in known]
        parents = list(self._place.app.tasks(action="faults:parent", state="succeeded"))
        due = sum(json.loads(self._place.app.look(info.id)[0].payload)["children"] for info in parents)
        assert len(born) == due, f"{len(born)} children of {len(parents)} parents, which should have {due}"


def settled(place: Place) -> bool:
    """Whether all tasks of a place have ended."""
    return all(tally.state >= State.SUCCEEDED for tally in place.app.stats())
