"""Where the App is, or, if only its store is needed, the store; and which task is meant."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from types import FunctionType
from typing import Any, NoReturn, TypeVar

import click

from duly import config
from duly.app import App
from duly.cli import exits
from duly.cli.streams import plain, say
from duly.core.ids import is_task_id
from duly.errors import OptionInvalid, StoreUnavailable, TaskNotFound
from duly.stores import IN_MEMORY, File

F = TypeVar("F", bound=Callable[..., Any])

HOW_TO_NAME = 'name it: -a module:attribute, DULY_APP=..., or app = "module:attribute" in [tool.duly] of pyproject.toml'
HOW_TO_URL = "name it: --url sqlite:///path/to/file.db or postgresql://..., or an App with -a module:attribute"
LEAST_PART = 8
"""Characters of a task's id, from its front or end, that may stand for all of it."""

LOOKED_THROUGH = 20_000
"""The newest tasks in which the one with such an id is looked for."""


def app_option(command: F) -> F:
    """Add `-a/--app`."""
    text = "The App: module:attribute, or module:function() that makes it; just the module if it is called app there."
    return click.option("-a", "--app", "app_name", metavar="MODULE:ATTR", help=text)(command)


def url_option(command: F) -> F:
    """Add `--url`."""
    text = "The store, if not the App's: sqlite:///file, sqlite:////absolute/file or postgresql://user@host/database."
    return click.option("--url", metavar="URL", help=text)(command)


def put_cwd_first() -> None:
    """Look for modules in the current directory first, as `python -m` does."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)


def find_app(name: str | None) -> App:
    """Import the App that is named, or set for this project; ends the command if there is none."""
    app = named_app(name)
    if app is None:
        exits.refuse("which App?", HOW_TO_NAME)
    return app


def named_app(name: str | None) -> App | None:
    """Import the App that is named, or set for this project; None if there is none."""
    name = name or config.load({}).app
    if not name:
        return None
    put_cwd_first()
    place, _, attribute = name.partition(":")
    if not place:
        exits.refuse(f"bad App {name!r}", "an App is named by module:attribute or module:function()")
    return _app_in(_import(place, name), place, attribute or "app")


def find_store(name: str | None, url: str | None, *, new: bool = False) -> App:
    """Return an App whose store is the one meant: the url, else the App's that is named or set, else the default.

    A file that is not there is made only if it may be `new`.
    """
    app = App(url) if url is not None else named_app(name) or App()
    check_store(app, new=new)
    return app


def check_store(app: App, *, new: bool = False) -> None:
    """Refuse a store that no other process can see, and one that is not there unless it may be `new`."""
    place = app.place
    if place == File(IN_MEMORY):
        raise OptionInvalid("a store in memory ends with its process: the command line has no use for it")
    if not new and not place.exists():
        error = StoreUnavailable(f"there is no store {place}")
        error.add_note(HOW_TO_URL)
        raise error


def find_task(app: App, text: str) -> str:
    """Return the id of the task that is meant by its id or a part of it; raises `TaskNotFound`."""
    if is_task_id(text):
        return text
    part = text.lower()
    if len(part) < LEAST_PART:
        error = TaskNotFound(f"there is no task {text}")
        error.add_note(f"a task is named by its id, or by {LEAST_PART} or more characters of its front or end")
        raise error
    found = [task.id for task in app.tasks(first=LOOKED_THROUGH) if task.id.startswith(part) or task.id.endswith(part)]
    if not found:
        raise TaskNotFound(f"there is no task {text} among the newest {LOOKED_THROUGH:,}")
    if len(found) > 1:
        more = [f"and {len(found) - 5:,} more"] if len(found) > 5 else []
        exits.refuse(f"{text} may be any of {len(found):,} tasks", "\n".join([*islice(found, 5), *more]))
    return found[0]


def _import(place: str, name: str) -> Any:
    if place.endswith(".py") or os.sep in place:
        exits.refuse(f"an App is named by its module, not its file: {name}", _hint(place, name.partition(":")[2]))
    try:
        return import_module(place)
    except (KeyboardInterrupt, click.Abort):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(error.name + ".") and not _exists(error.name):
            exits.refuse(f"there is no module {error.name!r} in {os.getcwd()} or elsewhere on sys.path")
        _show_traceback(error)
        exits.refuse(f"{place} cannot be imported: {error}")
    except BaseException as error:  # noqa: BLE001 - an import runs the user's code, which may raise anything
        _show_traceback(error)
        exits.refuse(f"{place} cannot be imported: {_said(error)}")


def _hint(file: str, attribute: str) -> str:
    """Say how the App in a file is named: from here, or from the folder of a file that lies elsewhere."""
    path = os.path.relpath(file).removesuffix(".py")
    folder = ""
    if path.startswith(os.pardir):
        folder, path = os.path.split(os.path.abspath(file).removesuffix(".py"))
    module = path.replace(os.sep, ".")
    return (f"try, in {folder}: " if folder else "try: ") + f"-a {module}:{attribute or 'app'}"


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _app_in(module: Any, place: str, attribute: str) -> App:
    path, called, rest = attribute.partition("()")
    if rest:
        exits.refuse(f"{place}:{attribute}: an App is named by module:attribute or module:function()")
    found = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            exits.refuse(f"{place} has no attribute {path!r}", _apps_of(module, place))
    if called:
        found = _call(found, f"{place}:{attribute}")
    if not isinstance(found, App):
        _refuse_stranger(found, f"{place}:{attribute}", _apps_of(module, place))
    return found


def _refuse_stranger(found: Any, name: str, cure: str) -> NoReturn:
    if isinstance(found, FunctionType) and not name.endswith("()"):
        exits.refuse(f"{name} is no App", f"if it makes one: -a '{name}()'")
    exits.refuse(f"{name} is no App but of type {type(found).__name__}", cure)


def _call(function: Any, name: str) -> Any:
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - it is the user's code
        _show_traceback(error)
        exits.refuse(f"{name} failed: {_said(error)}")


def _apps_of(module: Any, place: str) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    if not apps:
        return f"it should be a duly.App at the top of {place}"
    return "try: " + " or ".join(f"-a {place}:{name}" for name in apps)


def _said(error: BaseException) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind


def _show_traceback(error: BaseException) -> None:
    """Show the user's part of a traceback: from the module's own first line, to where it called duly."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    shown = traceback.TracebackException.from_exception(error, compact=True)
    frames = [
        frame
        for frame in shown.stack
        if not frame.filename.startswith((here + os.sep, "<frozen "))
        and not frame.filename.endswith("importlib/__init__.py")
    ]
    shown.stack = traceback.StackSummary.from_list(frames)
    say(plain("".join(shown.format()).rstrip()), always=True)
