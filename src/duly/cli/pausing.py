"""What `duly pause` and `duly resume` have in common: what is meant, and how its state is told."""

from __future__ import annotations

from collections.abc import Iterable

from duly.app import App
from duly.cli import exits
from duly.cli.places import check_store, named_app
from duly.cli.streams import put, put_json
from duly.listing import PauseInfo


def find(app_name: str | None, url: str | None) -> tuple[App, App | None]:
    """Return the store that is meant, and the App if there is one."""
    app = named_app(app_name)
    store = App(url) if url is not None else app or App()
    check_store(store)
    return store, app


def check_one(queue: str | None, action: str | None) -> None:
    """End with wrong usage unless it is one queue or one action."""
    if (queue is None) == (action is None):
        exits.refuse("what?", "give an action, or --queue NAME; duly stats tells what is paused")


def called(queue: str | None, action: str | None) -> str:
    """What people call it."""
    return f"queue {queue}" if action is None else f"action {action}"


def refuse_unknown(store: App, app: App | None, queue: str | None, action: str | None, cure: str = "") -> None:
    """End with wrong usage if nobody has ever heard of this queue or action: it is a slip."""
    declared = app.actions if app is not None else ()
    lanes, pauses = store.lanes(), store.paused()
    if action is None:
        known = {one.spec.queue for one in declared} | {lane.queue for lane in lanes} | _named(p.queue for p in pauses)
    else:
        known = {one.name for one in declared} | {lane.action for lane in lanes} | _named(p.action for p in pauses)
    meant = queue or action or ""
    if meant in known:
        return
    from difflib import get_close_matches  # noqa: PLC0415 - 4 ms, for slips alone

    near = get_close_matches(meant, known, 1)
    there = f"there are {', '.join(sorted(known))}" if known else "there is none yet"
    hint = f"did you mean {near[0]!r}? " if near else ""
    exits.refuse(f"nobody has heard of {called(queue, action)}; {there}", hint + cure)


def _named(names: Iterable[str | None]) -> set[str]:
    return {name for name in names if name is not None}


def pause_of(store: App, queue: str | None, action: str | None) -> PauseInfo | None:
    """How it is paused, if it is."""
    return next((pause for pause in store.paused() if pause[:2] == (queue, action)), None)


def tell(queue: str | None, action: str | None, pause: PauseInfo | None, *, changed: bool, as_json: bool) -> None:
    """Put on stdout how it stands now."""
    if as_json:
        since = None if pause is None else pause.since
        put_json(
            {"queue": queue, "action": action, "paused": pause is not None, "changed": changed, "paused_since": since}
        )
    else:
        put("unchanged" if not changed else "resumed" if pause is None else "paused")
