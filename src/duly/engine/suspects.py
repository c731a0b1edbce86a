"""Watching a suspect: a task that was on lost nodes twice runs alone, in a fresh process, its start committed before.

For its first 30 s nothing else is begun here, so that if the node is lost once more it is known by whom.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from duly.core.task import Held, Suspicion
from duly.engine.attempt import Attempt
from duly.engine.crew import Crew, Member

WATCH_SECONDS = 30.0


class Suspects:
    """At most one suspect at a time: it waits for a fresh runner, its start is noted, it runs, it is cleared."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._attempt: Attempt | None = None
        self._member: Member | None = None
        self._noting = False
        self._until: float | None = None

    @property
    def alone(self) -> bool:
        """Whether nothing else may be begun now."""
        return self._attempt is not None

    @property
    def attempt(self) -> Attempt | None:
        """The suspect that waits for a fresh runner, or runs."""
        return self._attempt

    def take(self, attempt: Attempt) -> None:
        """A suspect was claimed."""
        self._attempt = attempt

    def to_note(self) -> Attempt | None:
        """The suspect, once, when a fresh runner waits for it: its start is to be committed now."""
        if self._attempt is None or self._noting:
            return None
        self._member = next(iter(self._crew.blank()), None)
        if self._member is None:
            return None
        self._noting = True
        return self._attempt

    def noted(self, now: float) -> Member | None:
        """Its start is committed: hand it over, and return to whom."""
        if self._attempt is None or self._until is not None or not self._noting:
            return None
        self._mark(Suspicion.WATCHED)
        if self._member is None or not (self._member.takes and self._crew.hand(self._member, self._attempt, now)):
            self._noting = False  # that runner has ended meanwhile, or there is no room: another one
            return None
        if not self._member.shared:
            self._crew.use_once(self._member)
        self._until = now + WATCH_SECONDS
        return self._member

    @property
    def until(self) -> float | None:
        """When it will have been watched for long enough."""
        return self._until

    def cleared(self, now: float) -> Attempt | None:
        """The suspect, if it has run for long enough to be one no more."""
        if self._until is None or now < self._until:
            return None
        attempt = self._attempt
        self._mark(Suspicion.NONE)
        self._forget()
        return attempt

    def ended(self, attempt: Attempt) -> None:
        """An attempt has ended; perhaps the suspect."""
        if attempt is self._attempt:
            self._forget()

    def give_up(self, meant: Callable[[Held], bool] | None = None) -> Attempt | None:
        """The suspect (if it is meant), unless it has been handed over: it is not to be begun here."""
        attempt = self._attempt
        if attempt is None or self._until is not None or (meant is not None and not meant(attempt.held)):
            return None
        self._forget()
        return attempt

    def _mark(self, suspicion: Suspicion) -> None:
        """Know of the attempt what the store knows, or will with the next exchange."""
        assert self._attempt is not None
        self._attempt.held = msgspec.structs.replace(self._attempt.held, suspect=suspicion)

    def _forget(self) -> None:
        self._attempt = self._member = self._until = None
        self._noting = False
