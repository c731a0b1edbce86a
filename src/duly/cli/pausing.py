"""What `duly pause` and `duly resume` have in common: what is meant, and how its state is told."""

from __future__ import annotations

from duly.app import App
from duly.cli import exits
from duly.cli.names import unheard
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
        what = "what?" if queue is None else "an action or a queue, not both"
        exits.refuse(what, "give an action, or --queue NAME; duly stats tells what is paused")


def refuse_unknown(store: App, app: App | None, queue: str | None, action: str | None, cure: str = "") -> None:
    """End with wrong usage if nobody has ever heard of this queue or action: it is a slip."""
    slip = unheard(store, app, queue, action)
    if slip is None:
        return
    there = f"there are {', '.join(slip.known)}" if slip.known else "there is none yet"
    near = f"did you mean {slip.near!r}? " if slip.near else ""
    exits.refuse(f"nobody has heard of {slip.called}; {there}", near + cure)


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
