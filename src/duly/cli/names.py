"""Names of queues and actions that nobody has ever heard of: mostly they are slips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from duly.app import App
from duly.cli.streams import plain, say


class Unheard(NamedTuple):
    """A name that nobody knows: what it was meant for, all that are known, and the nearest of these if one is near."""

    called: str
    known: Sequence[str]
    near: str | None


def called(queue: str | None, action: str | None) -> str:
    """What people call it."""
    return f"queue {queue}" if action is None else f"action {action}"


def unheard(store: App, declared: App | None, queue: str | None, action: str | None) -> Unheard | None:
    """Tell of a queue or an action that no App has declared, no task was of and nobody has paused; else None."""
    actions = declared.actions if declared is not None else ()
    lanes, pauses = store.lanes(), store.paused()
    if action is None:
        known = {one.spec.queue for one in actions} | {lane.queue for lane in lanes} | _named(p.queue for p in pauses)
    else:
        known = {one.name for one in actions} | {lane.action for lane in lanes} | _named(p.action for p in pauses)
    meant = queue or action or ""
    return None if meant in known else Unheard(called(queue, action), sorted(known), nearest(meant, known))


def nearest(meant: str, known: Iterable[str]) -> str | None:
    """Return the name that is most like this one, if one is."""
    from difflib import get_close_matches  # noqa: PLC0415 - 4 ms, for slips alone

    return next(iter(get_close_matches(meant, list(known), 1)), None)


def hint(app: App, queue: str | None, action: str | None) -> None:
    """Say so if nobody has heard of what is looked for; it may be to come, so nothing is refused."""
    for one in [(queue, None), (None, action)]:
        if any(one) and (slip := unheard(app, app, *one)) is not None:
            say(plain(f"nobody has heard of {slip.called}" + (f"; did you mean {slip.near}?" if slip.near else "")))


def _named(names: Iterable[str | None]) -> set[str]:
    return {name for name in names if name is not None}
