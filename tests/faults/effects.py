"""The effect log: what the tasks themselves say that they did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Effect(NamedTuple):
    """One line: `begin` or `end` of an execution, at a moment of the wall clock in microseconds.

    `(pid, began)` names the execution; `kind` is how it is isolated, `moment` is by the monotonic clock.
    """

    what: str
    task: str
    attempt: int
    pid: int
    began: int
    at: int
    kind: str
    moment: int = 0


def read(path: Path | str) -> list[Effect]:
    """Return what the log says up to now, in its order; nothing if there is none."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]  # a disk that is full may have taken half a line
    return [_effect(line) for line in whole.splitlines()]


def by_task(effects: Iterable[Effect]) -> dict[str, list[Effect]]:
    """Return the effects of each task, in order."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        found[effect.task].append(effect)
    return found


def _effect(line: str) -> Effect:
    what, task, attempt, pid, began, at, kind, moment = line.split(" ")
    return Effect(what, task, int(attempt), int(pid), int(began), int(at), kind, int(moment))
