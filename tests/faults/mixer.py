"""A program that does everything a submitter can, at random, until its stdin is closed.

    python -m tests.faults.mixer SEED DIARY PACE

It may be killed at any moment. What it is about to do and what was acknowledged goes into its diary, a line each; what
it sees with its own eyes, and should not, too.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import duly
from duly.core.passport import Passport
from tests.faults import shop

THREADS = 3
PATIENCE = 60.0
"""Seconds after which it is wrong that a task has not ended."""

LARGE = 200_000
KEPT = 200
"""Tasks that it remembers, to do something with."""

ENDED = {"succeeded", "failed", "cancelled"}


class Diary:
    """Lines of words; each is written whole, before what follows."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, *words: str) -> None:
        os.write(self._fd, " ".join(words).replace("\n", "\\n").encode() + b"\n")


class Mixer:
    """One user: its dice, its own choice of forms, and the tasks that it has submitted."""

    def __init__(self, dice: random.Random, diary: Diary) -> None:
        self._dice = dice
        self._diary = diary
        self._tasks: list[duly.Handle[Any]] = []
        self._hanging: list[duly.Handle[Any]] = []
        self._doings: list[tuple[int, Callable[[], Any]]] = [
            (8, self.submit), (3, self.submit_many), (2, self.submit_twice), (3, self.carry), (1, self.hang),
            (3, self.cancel), (2, self.retry), (2, self.wait), (1, self.watch), (1, self.look), (1, self.list),
        ]  # fmt: skip
        self._async: list[tuple[int, Callable[[], Coroutine[Any, Any, Any]]]] = [
            (6, self.asubmit), (2, self.asubmit_many), (2, self.acancel), (1, self.aretry), (2, self.await_),
            (1, self.awatch),
        ]  # fmt: skip

    def do(self) -> None:
        """Do anything."""
        self._stop_hanging()
        self._chosen(self._doings)()

    async def ado(self) -> None:
        """Do anything from async code."""
        await self._chosen(self._async)()

    def _chosen(self, doings: list[tuple[int, Any]]) -> Any:
        return self._dice.choices([doing for _, doing in doings], [weight for weight, _ in doings])[0]

    # submitting
    def _options(self) -> dict[str, Any]:
        dice, given = self._dice, {}
        if dice.random() < 0.3:
            given["priority"] = dice.choice(("high", "medium", "low"))
        if dice.random() < 0.1:
            given["front"] = True
        if dice.random() < 0.2:
            given["delay"] = dice.uniform(0, 1)
        if dice.random() < 0.1:
            given |= {"timeout": 0.1, "max_attempts": 2}
        return given

    def _passport(self) -> Passport:
        dice = self._dice
        seconds = dice.choice((0.0, 0.001, 0.01, 0.2)) * dice.random()
        return dice.choice(
            [
                lambda: shop.work.using(**self._options()).passport(seconds),
                lambda: shop.work.using(**self._options()).passport(seconds),
                lambda: shop.fresh.using(**self._options()).passport(seconds),
                lambda: shop.shared.using(**self._options()).passport(5 * seconds),
                lambda: shop.flaky.using(**self._options()).passport(dice.randint(1, 4)),
                lambda: shop.refuse.using(**self._options()).passport(),
                lambda: shop.snooze.using(**self._options()).passport(seconds),
                lambda: shop.parent.using(**self._options()).passport(dice.randint(1, 9), seconds),
                lambda: shop.die.using(**self._options()).passport(dice.randint(1, 3)),
                lambda: shop.app.passport("faults:work", {"seconds": seconds}, **self._options()),
            ]
        )()

    def _tried(self, *passports: Passport) -> tuple[Passport, ...]:
        for passport in passports:
            self._diary.write("try", passport.id)
        return passports

    def _acknowledged(self, *handles: duly.Handle[Any]) -> None:
        for handle in handles:
            self._diary.write("ack", handle.id)
        self._tasks = [*self._tasks, *handles][-KEPT:]

    def submit(self) -> None:
        self._acknowledged(shop.app.submit(*self._tried(self._passport())))

    def submit_many(self) -> None:
        passports = [self._passport() for _ in range(self._dice.randint(0, 40))]
        self._acknowledged(*shop.app.submit_many(self._tried(*passports)))

    def submit_twice(self) -> None:
        (passport,) = self._tried(self._passport())
        first, second = shop.app.submit(passport), shop.app.submit_many([passport, passport])
        self._acknowledged(first)
        self._see(len({first.id, *(handle.id for handle in second)}) == 1, "one passport, several tasks")

    def carry(self) -> None:
        """Send something large there and back."""
        text = f"{self._dice.getrandbits(64):x}" * self._dice.randint(1, LARGE // 16)
        (passport,) = self._tried(shop.carry.passport(text))
        handle = shop.app.submit(passport)
        self._acknowledged(handle)
        if self._dice.random() < 0.3:
            self._see(handle.result(timeout=PATIENCE) == text, f"{handle.id} brought something else back")

    def hang(self) -> None:
        """Submit what never ends by itself, and have it cancelled soon."""
        (passport,) = self._tried(shop.hang.passport())
        self._diary.write("hang", passport.id)
        task = shop.app.submit(passport)
        self._acknowledged(task)
        self._hanging.append(task)

    def _stop_hanging(self) -> None:
        while self._hanging and self._dice.random() < 0.3:
            task = self._hanging[0]
            self._note_answer(task, task.cancel("hangs"))
            del self._hanging[0]

    # with what was submitted
    def _any(self) -> duly.Handle[Any]:
        if not self._tasks:
            self.submit()
        return self._dice.choice(self._tasks[-20:] if self._dice.random() < 0.5 else self._tasks)

    def cancel(self) -> None:
        self._answered(self._any(), lambda task: task.cancel("mixed up"))

    def _answered(self, task: duly.Handle[Any], cancel: Callable[[duly.Handle[Any]], str]) -> None:
        self._note_answer(task, cancel(task))

    def _note_answer(self, task: duly.Handle[Any], answer: str) -> None:
        if answer != "ended":
            self._diary.write("cancelled", task.id)
        if answer == "cancelled":
            self._see(task.refresh().state == "cancelled", f"{task.id} was cancelled and is {task.state}")

    def retry(self) -> None:
        task = self._any()
        try:
            task.retry()
        except duly.RetryRefused:
            return
        self._diary.write("retried", task.id)

    def wait(self) -> None:
        task = self._dice.choice([self._any() for _ in range(3)])
        try:
            result = task.wait(self._dice.choice((0.0, 0.05, 1.0)))
        except duly.WaitTimeout:
            return
        self._see(result.state in ENDED, f"{task.id} was waited for and is {result.state}")

    def watch(self) -> None:
        """See all that happens to a task, without a gap; what hangs is given up by nobody else."""
        task = self._any()
        task.cancel("seen enough") if self._dice.random() < 0.5 else None
        numbers = []
        for event in task.events():
            numbers.append(event.number)
            if len(numbers) > 3 and self._dice.random() < 0.2:
                break
            if event.kind == "start":
                task.cancel("seen enough")
        self._see(numbers == list(range(1, len(numbers) + 1)), f"{task.id} was seen with a gap: {numbers}")

    def look(self) -> None:
        row, events = shop.app.look(self._any().id)
        self._see([e.number for e in events] == list(range(1, len(events) + 1)), f"{row.id} has a gap in its history")

    def list(self) -> None:
        ids = [info.id for info in shop.app.tasks(first=300)]
        self._see(len(set(ids)) == len(ids), "a task was listed twice")
        shop.app.stats()

    # the same from async code
    async def asubmit(self) -> None:
        self._acknowledged(await shop.app.asubmit(*self._tried(self._passport())))

    async def asubmit_many(self) -> None:
        passports = self._tried(*(self._passport() for _ in range(20)))
        self._acknowledged(*await asyncio.gather(*map(shop.app.asubmit, passports)))

    async def acancel(self) -> None:
        task = self._any()
        self._note_answer(task, await task.acancel("mixed up"))

    async def aretry(self) -> None:
        task = self._any()
        try:
            await task.aretry()
        except duly.RetryRefused:
            return
        self._diary.write("retried", task.id)

    async def await_(self) -> None:
        tasks = [self._any() for _ in range(5)]
        done = await asyncio.gather(*(task.await_(0.5) for task in tasks), return_exceptions=True)
        wrong = [one for one in done if isinstance(one, BaseException) and not isinstance(one, duly.WaitTimeout)]
        self._see(not wrong, f"{wrong}")

    async def awatch(self) -> None:
        task = self._any()
        await task.acancel("seen enough")
        numbers = [event.number async for event in task.aevents()]
        self._see(numbers == list(range(1, len(numbers) + 1)), f"{task.id} was seen with a gap: {numbers}")

    def _see(self, right: object, otherwise: str) -> None:
        if not right:
            self._diary.write("wrong", otherwise)


def _go_on(what: Callable[[], None], diary: Diary, over: threading.Event, rest: Callable[[], float]) -> None:
    """Do it again and again; a store that is busy or away for long is no wonder here, anything else is."""
    while not over.is_set():
        try:
            what()
        except (duly.StoreBusy, duly.StoreAway) as error:
            diary.write("busy", str(error))
        except BaseException:  # noqa: BLE001 - it is told
            diary.write("wrong", traceback.format_exc())
        over.wait(rest())


def main(seed: str, path: str, pace: str) -> None:
    """Mix until stdin is closed."""
    diary, over, dice = Diary(path), threading.Event(), random.Random(f"{seed} pace")
    mixers = [Mixer(random.Random(f"{seed} {number}"), diary) for number in range(THREADS + 1)]
    doings = [mixer.do for mixer in mixers[1:]]
    loop = asyncio.new_event_loop()
    doings.append(lambda: loop.run_until_complete(mixers[0].ado()))
    threads = [
        threading.Thread(target=_go_on, args=(doing, diary, over, lambda: dice.uniform(0, float(pace))), daemon=True)
        for doing in doings
    ]
    for thread in threads:
        thread.start()
    sys.stdin.buffer.read()
    over.set()
    for thread in threads:
        thread.join(2 * PATIENCE)
    if any(thread.is_alive() for thread in threads):
        diary.write("wrong", "somebody waits for ever")
    loop.close()
    shop.app.close()


def entries(paths: list[Path]) -> dict[str, list[str]]:
    """Read diaries: what follows each first word."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            word, _, rest = line.partition(" ")
            found.setdefault(word, []).append(rest)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
