"""A user of a place who goes on whatever becomes of the store: each task is submitted until that is acknowledged."""

from __future__ import annotations

import threading
from typing import Any, Self

import duly
from duly.core.task import State
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import Place

ACTIONS: list[tuple[str, dict[str, Any]]] = [
    *[("faults:work", {"seconds": seconds}) for seconds in (0.0, 0.005, 0.02, 0.1)],
    ("faults:flaky", {"fails": 1}),
    ("faults:parent", {"children": 2}),
    ("faults:snooze", {"seconds": 0.05}),
    ("faults:carry", {"text": "x" * 100_000}),
]


class Load:
    """Submits while it is entered. `ids` are acknowledged; `refused` counts how often the store was not to be had."""

    def __init__(self, place: Place, run: Run) -> None:
        self._place = place
        self._run = Run(run.seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._submit_all)
        self._error: BaseException | None = None
        self.ids: list[str] = []
        self.refused = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def settle(self, seconds: float = 120.0) -> None:
        """Submit no more, and wait until all has ended."""
        self.__exit__()
        eventually(lambda: all(tally.state >= State.SUCCEEDED for tally in self._place.app.stats()), seconds)

    def _submit_all(self) -> None:
        try:
            while not self._over.is_set():
                self._submit(self._place.app.passport(*self._run.dice.choice(ACTIONS)))
                self._run.pause(0.0, 0.02)
        except BaseException as error:  # noqa: BLE001 - it is told by who waits
            self._error = error

    def _submit(self, passport: duly.Passport) -> None:
        while not self._over.is_set():
            try:
                self._place.app.submit(passport)
            except (duly.StoreUnavailable, duly.StoreBusy):
                self.refused += 1
                self._run.pause(0.05)
            else:
                self.ids.append(passport.id)
                return
