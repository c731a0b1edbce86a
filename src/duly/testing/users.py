"""What tests of programs that use duly need: their App, its tasks run, and what was submitted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import Any

import msgspec

from duly.action import Action
from duly.app import App
from duly.errors import DulyError, OptionInvalid, WaitTimeout
from duly.handle import Handle
from duly.listing import TaskInfo

SHOWN = 20
"""Tasks that a failure lists."""

STEP = 0.2
"""Seconds after which it is looked again, should what is waited for have been put off."""


def find_app(name: str) -> App:
    """Import the App `module:attribute` or `module:function()`; raises `OptionInvalid`, or what the import raises."""
    module, colon, attribute = name.partition(":")
    path, call, rest = attribute.partition("()")
    if not (module and colon and path) or rest:
        raise OptionInvalid(f"bad App {name!r}: module:attribute or module:function()")
    found: Any = import_module(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise OptionInvalid(f"there is no App {name!r}: {module} has no {path!r}; {_apps_in(module)}") from None
    if call:
        found = found()
    if not isinstance(found, App):
        raise OptionInvalid(f"{name} is no duly.App, but {found!r}")
    return found


def _apps_in(module: str) -> str:
    apps = [f"{module}:{key}" for key, value in vars(import_module(module)).items() if isinstance(value, App)]
    return f"it has {', '.join(apps)}" if apps else "it has none at its top"


# running -------------------------------------------------------------------------------------------------------------


def run_until_idle(app: App, *, seconds: float = 30.0, concurrency: int = 2) -> list[TaskInfo]:
    """Run tasks in real processes until none is ready or running, and return those that have not ended, newest first.

    These wait for their time, or for a handler that this App does not declare. Tasks submitted meanwhile are run, too,
    and so are retries once they are due. Raises `WaitTimeout` after so many `seconds`.

    >>> handle = send.submit("ann@example.com", "hello")
    >>> run_until_idle(app)
    []
    >>> handle.result()
    'sent 5 letters to ann@example.com'
    """
    until = time.monotonic() + seconds
    with app.worker(concurrency) as working:
        while busy := _at_work(app, 1):
            left = until - time.monotonic()
            if left <= 0:
                working.hurry()
                raise WaitTimeout(f"not idle after {seconds:g} s:\n{_listed(_at_work(app, SHOWN))}")
            with suppress(WaitTimeout):
                app.handle(busy[0].id).wait(min(left, STEP))
    return list(app.tasks(state="waiting"))


def _at_work(app: App, most: int) -> list[TaskInfo]:
    """Tasks that run, or would if a runner were free."""
    declared = {(action.name, action.version) for action in app.actions}
    return list(islice((task for task in _due(app) if (task.action, task.version) in declared), most))


def _due(app: App) -> Iterator[TaskInfo]:
    yield from app.tasks(state=["running", "ready", "parked"])
    yield from app.tasks(state="scheduled", due_before=0)


def _listed(tasks: Sequence[TaskInfo]) -> str:
    return "\n".join(f"  {task.action}  {task.state}  attempt {task.attempts}  {task.id}" for task in tasks)


# what was submitted --------------------------------------------------------------------------------------------------


def assert_submitted(app: App, action: str | Action[..., Any, ..., Any], /, **payload: Any) -> Handle[Any]:
    """Return the newest task of an action whose payload has these arguments; `AssertionError` if there is none.

    Arguments that are not named may be anything. Defaults of the handler count, and values are those of its signature.

    >>> handle = send.submit("ann@example.com", "hello")
    >>> assert_submitted(app, "email:send", to="ann@example.com").id == handle.id
    True
    """
    name = action.name if isinstance(action, Action) else action
    for task in app.tasks(action=name):
        if _has(_arguments(app, task), payload):
            return app.handle(task.id).refresh()
    wanted = ", ".join(f"{key}={value!r}" for key, value in payload.items())
    seen = [f"  {task.action}  {_payload(app, task)[:200]}  {task.state}" for task in app.tasks(first=SHOWN)]
    told = "these were:\n" + "\n".join(seen) if seen else "nothing was."
    raise AssertionError(f"no {name}({wanted}) was submitted; {told}")


def _payload(app: App, task: TaskInfo) -> str:
    return app.look(task.id)[0].payload


def _arguments(app: App, task: TaskInfo) -> Any:
    text = _payload(app, task)
    for action in app.actions:
        if (action.name, action.version) == (task.action, task.version):
            try:
                return action.arguments(text)
            except DulyError:
                break  # it does not fit, and will fail
    return msgspec.json.decode(text)


def _has(arguments: Any, wanted: dict[str, Any]) -> bool:
    if not isinstance(arguments, dict):
        return not wanted
    return all(name in arguments and _equal(arguments[name], value) for name, value in wanted.items())


def _equal(found: Any, wanted: Any) -> bool:
    """Whether both are the same value, or the same JSON."""
    if found == wanted:
        return True
    try:
        return bool(msgspec.to_builtins(found) == msgspec.to_builtins(wanted))
    except TypeError:  # a class of the user's that has no JSON by itself
        return False
