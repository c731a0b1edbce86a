"""The demo's work: declare, submit, follow, and look whether what duly promises was kept."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import psutil  # type: ignore[import-untyped]

from duly.action import Action
from duly.app import App
from duly.core.retry import Backoff
from duly.demo import handlers
from duly.errors import WaitTimeout
from duly.handle import Handle, TaskResult
from duly.listing import TaskInfo

LOOK_SECONDS = 0.1
"""How often those who wait look up."""

MOST_SECONDS = 60.0
"""How long one more task may take to end before the demo gives up: its worker may have stopped."""

TIME_LIMIT = 2.0
GRACE = 0.5
MARGIN = 1.0
"""Seconds after limit and grace in which a process is gone, whatever it does (P4)."""

MEMORY_LIMIT = "64MiB"
SOON = Backoff(first=0.2, factor=1, jitter=False)
SIZES = ("lines", "functions", "classes", "branches")
SKIPPED = {"__pycache__", "site-packages", "dist-packages", "node_modules"}


class Trial(NamedTuple):
    """A task that puts a promise to the test: what is asked of it, and what must become of it."""

    name: str
    asked: str
    handler: Callable[..., Any]
    settings: dict[str, Any]
    state: str
    cause: str | None
    attempts: int
    most_seconds: float


TRIALS = (
    Trial(
        "trial:endless",
        f"never ends, heeds nobody; limit {TIME_LIMIT:g} s",
        handlers.never_end,
        {"timeout": TIME_LIMIT, "grace": GRACE, "max_attempts": 1},
        *("failed", "timeout", 1, TIME_LIMIT + GRACE + MARGIN),
    ),
    Trial(
        "trial:greedy",
        f"eats memory; limit {MEMORY_LIMIT}",
        handlers.eat_memory,
        {"memory": MEMORY_LIMIT, "max_attempts": 1},
        *("failed", "memory", 1, 20),
    ),
    Trial(
        "trial:deadly",
        "kills its own process, each time",
        handlers.kill_itself,
        {"max_attempts": 5, "retry": SOON, "demote_after": 0},
        *("failed", "quarantined", 3, 20),
    ),
    Trial(
        "trial:flaky",
        "fails twice, then succeeds",
        handlers.fail_twice,
        {"max_attempts": 5, "retry": SOON, "demote_after": 0},
        *("succeeded", None, 3, 20),
    ),
)


class Tried(msgspec.Struct, frozen=True):
    """What became of a trial; `seconds` from its first beginning to its end, waits between attempts included."""

    id: str
    action: str
    asked: str
    state: str
    cause: str | None
    attempts: int
    seconds: float
    kept: bool


class Function(msgspec.Struct, frozen=True):
    """A function that was found; `file` is relative to the folder."""

    lines: int
    file: str
    line: int
    name: str


class Refused(msgspec.Struct, frozen=True):
    """A file whose task answered no."""

    id: str
    file: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that came of it; `ok` if every promise was kept."""

    ok: bool
    url: str
    folder: str
    tasks: int
    seconds: float
    per_second: float
    read: int
    sizes: dict[str, int]
    trials: list[Tried]
    longest: list[Function]
    refused: list[Refused]
    unexpected: list[Refused]
    left_behind: int


def sources(folder: str) -> list[str]:
    """Return the Python files at and below a folder, but for what was installed into it and names that are no text."""
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        paths = (os.path.join(place, name) for name in sorted(files) if name.endswith(".py") and name.isprintable())
        found += filter(os.path.isfile, paths)
    return found


class Work:
    """The tasks of a demo: one for each file, and the trials among them."""

    def __init__(self, app: App, folder: str, files: list[str]) -> None:
        self._app = app
        self._folder = folder
        self._files = files
        self._read = app.action("source:read", timeout=60, max_attempts=3, retry=SOON)(handlers.read_source)
        self._trials = [app.action(trial.name, **trial.settings)(trial.handler) for trial in TRIALS]
        self._tests: list[Handle[Any]] = []
        self._reads: list[Handle[Any]] = []
        self._results: list[TaskResult] = []
        self._others = {child.pid for child in psutil.Process().children(recursive=True)}
        self._began = self._ended = 0.0

    def submit(self) -> None:
        """Store all the tasks, with the trials among the first."""
        passports = [self._read.passport(path) for path in self._files]
        trials: list[Action[..., Any, ..., Any]] = self._trials
        for place, trial in enumerate(trials):
            passports.insert(place * 4, trial.passport())
        names = {trial.name for trial in TRIALS}
        for handle in self._app.submit_many(passports):
            (self._tests if handle.action in names else self._reads).append(handle)

    def results(self) -> Iterator[TaskResult | None]:
        """Yield what becomes of each task, the files' in their order first, and None while one is not there yet.

        Raises `WaitTimeout` if one does not end at all.
        """
        self._began = time.monotonic()
        for handle in self._reads + self._tests:
            yield from self._wait(handle)
        self._ended = time.monotonic()

    def _wait(self, handle: Handle[Any]) -> Iterator[TaskResult | None]:
        give_up = time.monotonic() + MOST_SECONDS
        while True:
            try:
                result = handle.wait(LOOK_SECONDS)
            except WaitTimeout:
                if time.monotonic() > give_up:
                    raise WaitTimeout(f"task {handle.id} had not ended after {MOST_SECONDS:g} s more") from None
                yield None
            else:
                self._results.append(result)
                yield result
                return

    def trials(self) -> list[TaskInfo]:
        """Return the trials as they stand."""
        return [info for trial in TRIALS for info in self._app.tasks(action=trial.name)]

    def report(self) -> Report:
        """Sum up; the worker has ended by now, and so should have all that it started."""
        reads, seconds = self._results[: len(self._reads)], self._ended - self._began
        good = [(path, result.value) for path, result in zip(self._files, reads, strict=True) if result.ok]
        refused, unexpected = self._refusals(reads)
        trials = [tried(trial, info) for trial, info in zip(TRIALS, self.trials(), strict=True)]
        left = sum(child.pid not in self._others for child in psutil.Process().children(recursive=True))
        return Report(
            ok=not unexpected and not left and all(one.kept for one in trials),
            url=self._app.config.url,
            folder=self._folder,
            tasks=len(self._results),
            seconds=seconds,
            per_second=len(self._results) / seconds,
            read=len(good),
            sizes={name: sum(value[name] for _, value in good) for name in SIZES},
            trials=trials,
            longest=self._longest(good),
            refused=refused,
            unexpected=unexpected,
            left_behind=left,
        )

    def _refusals(self, reads: list[TaskResult]) -> tuple[list[Refused], list[Refused]]:
        """Return the files that answered no, and those of which something else became, which should not be."""
        refused, unexpected = [], []
        for handle, path, result in zip(self._reads, self._files, reads, strict=True):
            if result.cause == "failure":
                refused.append(Refused(handle.id, self._relative(path), str(result.value)))
            elif not result.ok:
                why = f"{result.state}: {result.cause}"
                unexpected.append(Refused(handle.id, self._relative(path), why))
        return refused, unexpected

    def _longest(self, good: list[tuple[str, Any]]) -> list[Function]:
        functions = (
            Function(lines, self._relative(path), line, name)
            for path, value in good
            for lines, line, name in value["longest"]
        )
        return heapq.nlargest(handlers.LONGEST, functions, key=lambda function: function.lines)

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._folder)


def tried(trial: Trial, info: TaskInfo) -> Tried:
    """Judge whether a trial's task, which has ended, came to what it must."""
    assert info.started_at is not None
    assert info.ended_at is not None
    seconds = (info.ended_at - info.started_at).total_seconds()
    came_to = (info.state, info.cause, info.attempts)
    kept = came_to == (trial.state, trial.cause, trial.attempts) and seconds <= trial.most_seconds
    return Tried(info.id, trial.name, trial.asked, info.state, info.cause, info.attempts, seconds, kept)
