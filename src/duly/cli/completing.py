"""What a shell is offered: action names of the App, ids of recent tasks. What goes wrong offers nothing, silently."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.shell_completion import CompletionItem

Offer: TypeAlias = "Callable[[click.Context, click.Parameter, str], list[CompletionItem]]"

MOST = 100
"""Tasks that are offered, the newest."""

TAIL = 12


@contextmanager
def _silence() -> Iterator[None]:
    """Let neither an error nor what the App's module prints get in between."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(Exception, SystemExit):
        yield


def actions(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the actions that the App declares; without an App those that the store has seen."""
    from duly.cli.places import find_store, named_app  # noqa: PLC0415 - help needs none of this

    names: set[str] = set()
    with _silence():
        app = named_app(ctx.params.get("app_name"))
        if app is not None:
            names = {action.name for action in app.actions}
        else:
            names = {lane.action for lane in find_store(None, ctx.params.get("url")).lanes()}
    return _items((name, "") for name in sorted(names) if name.startswith(incomplete))


def queues(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the queues of the App and those that the store has seen."""
    from duly.cli.places import find_store, named_app  # noqa: PLC0415

    names: set[str] = set()
    with _silence():
        app = named_app(ctx.params.get("app_name"))
        names |= {action.spec.queue for action in (app.actions if app is not None else ())}
    with _silence():
        names |= {lane.queue for lane in find_store(ctx.params.get("app_name"), ctx.params.get("url")).lanes()}
    return _items((name, "") for name in sorted(names) if name.startswith(incomplete))


def paused(kind: str) -> Offer:
    """Offer what is paused: each `queue` or each `action`."""

    def offer(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from duly.cli.places import find_store  # noqa: PLC0415

        names: list[str] = []
        with _silence():
            store = find_store(ctx.params.get("app_name"), ctx.params.get("url"))
            names = [getattr(pause, kind) or "" for pause in store.paused()]
        return _items((name, "") for name in names if name and name.startswith(incomplete))

    return offer


def tasks(state: str | Sequence[str] | None = None) -> Offer:
    """Offer recent tasks, in these states if any are named: their ids, or the ends of these if that was begun."""

    def offer(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from duly.cli.places import find_store  # noqa: PLC0415

        found: list[tuple[str, str]] = []
        with _silence():
            store = find_store(ctx.params.get("app_name"), ctx.params.get("url"))
            for task in store.tasks(state=state, first=MOST):
                found.append((task.id, f"{task.action.replace(':', ' ')} {task.state}"))  # noqa: PERF401 - as far as it gets
        whole = [(id, text) for id, text in found if id.startswith(incomplete)]
        return _items(whole or [(id[-TAIL:], text) for id, text in found if id[-TAIL:].startswith(incomplete)])

    return offer


def _items(offers: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    return [CompletionItem(value, help=text or None) for value, text in offers]
