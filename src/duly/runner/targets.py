"""From a callable to where it is found, and in another process back again; never from stored data (P13)."""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import inspect
import io
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from duly.errors import TargetNotFound
from duly.wire.runner import Target

MAIN = "__mp_main__"
"""The name under which the program's own file is imported again, as `multiprocessing` has it."""

DEFAULT_ATTRIBUTE = "task"


def describe(target: object) -> Target:
    """Return where a target is found, or raise `TargetNotFound`; no user code is run for that.

    `target` is `"package.module:function"`, `"path/to/file.py:function"`, either without the function (then `task`), a
    module, or a function that stands at the top of one.
    """
    if isinstance(target, str):
        return _from_text(target)
    if isinstance(target, os.PathLike):
        return _from_text(os.fsdecode(target))
    if isinstance(target, ModuleType):
        return _from_module(target, DEFAULT_ATTRIBUTE)
    if callable(target):
        found = from_callable(target)
        _check_same(target)
        return found
    raise TargetNotFound(f"a target is text, a module or a function, not {target!r}")


def from_callable(function: Callable[..., Any]) -> Target:
    """Return where a function or class is found, or raise `TargetNotFound` for lambdas, closures and the like."""
    plain = inspect.unwrap(function)
    if not isinstance(getattr(plain, "__self__", None), ModuleType | type | None):
        raise TargetNotFound(
            f"{function!r} is bound to an object that exists only here; give a function that makes its own"
        )
    name, module_name = getattr(plain, "__qualname__", ""), getattr(plain, "__module__", None)
    if not name or not module_name:
        raise TargetNotFound(f"{function!r} has no name to find it by; give a function of a module")
    if "<lambda>" in name or "<locals>" in name:
        raise TargetNotFound(
            f"{module_name}.{name} exists only here: another process can only find a function at the top of a module"
        )
    module = sys.modules.get(module_name)
    return _from_module(module, name) if module else Target(module=module_name, attribute=name)


def _check_same(function: Callable[..., Any]) -> None:
    """Refuse what another process would not find under its name, but something else."""
    plain: Any = inspect.unwrap(function)
    found: Any = sys.modules.get(plain.__module__)
    if found is None:
        return
    for name in plain.__qualname__.split("."):
        found = getattr(found, name, None)
    if function not in (found, getattr(found, "__duly_handler__", None)):
        raise TargetNotFound(
            f"under the name {plain.__module__}.{plain.__qualname__} stands something else than {function!r}"
        )


def _from_module(module: ModuleType, attribute: str) -> Target:
    if module.__name__ not in ("__main__", MAIN):
        file = getattr(module, "__file__", None)
        return Target(module=module.__name__, file=file and os.path.abspath(file), attribute=attribute)
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", MAIN):
        return Target(module=spec.name, attribute=attribute, main=True)
    file = getattr(module, "__file__", None)
    if not file or not os.path.isfile(file):
        raise TargetNotFound(
            f"{attribute} was defined at a prompt or in a notebook, where no other process can find it; put it into a "
            "module (a .py file), and import it from there"
        )
    return Target(file=os.path.abspath(file), attribute=attribute, main=True)


def _from_text(text: str) -> Target:
    place, _, attribute = text.rpartition(":") if _names_attribute(text) else (text, "", DEFAULT_ATTRIBUTE)
    if not place or not all(part.isidentifier() for part in attribute.split(".")):
        raise TargetNotFound(f"{text!r}: a target reads 'package.module:function' or 'path/to/file.py:function'")
    if place.endswith(".py") or os.sep in place:
        file = os.path.abspath(place)
        if not os.path.isfile(file):
            raise TargetNotFound(f"{text!r}: there is no file {file}")
        return Target(file=file, attribute=attribute)
    if place == "__main__":
        return _from_module(sys.modules[place], attribute)
    if not _exists(place):
        raise TargetNotFound(f"{text!r}: there is no module {place!r} on sys.path")
    return Target(module=place, attribute=attribute)


def _names_attribute(text: str) -> bool:
    head, colon, tail = text.rpartition(":")
    return bool(colon) and bool(head) and os.sep not in tail


def _exists(module: str) -> bool:
    """Whether a module can be found, without importing its packages."""
    path: list[str] | None = None
    name = ""
    for part in module.split("."):
        if not part.isidentifier():
            return False
        name = f"{name}.{part}" if name else part
        if name in sys.modules and getattr(sys.modules[name], "__spec__", None) is not None:
            spec = sys.modules[name].__spec__
        else:
            spec = (
                importlib.util.find_spec(name) if path is None else importlib.machinery.PathFinder.find_spec(name, path)
            )
        if spec is None:
            return False
        path = list(spec.submodule_search_locations or ())
    return True


# in the other process ------------------------------------------------------------------------------------------------


def resolve(target: Target) -> Callable[..., Any]:
    """Import what a target names; raises `TargetNotFound`, or whatever the import raises."""
    module = _load(target)
    found: Any = module
    for name in target.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            place = target.file or target.module
            raise TargetNotFound(
                f"{place} has no attribute {target.attribute!r} when it is imported: what runs in another process must "
                "stand at the top of its module"
            ) from None
    found = getattr(found, "__duly_handler__", found)
    if not callable(found):
        raise TargetNotFound(f"{target.attribute!r} of {target.file or target.module} cannot be called")
    handler: Callable[..., Any] = found
    return handler


def _load(target: Target) -> ModuleType:
    if target.main:
        return _load_main(target)
    if target.module is None:
        return _load_file(str(target.file))
    try:
        module = importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        if not error.name or not f"{target.module}.".startswith(error.name + "."):
            raise
        if target.file is not None:
            return _load_file(target.file)
        raise TargetNotFound(f"there is no module {error.name!r} on sys.path") from None
    return module if _is_from(module, target.file) else _load_file(str(target.file))


def _is_from(module: ModuleType, file: str | None) -> bool:
    """Whether a module is from this file, and not another of the same name that was found first."""
    own = getattr(module, "__file__", None)
    return file is None or own is None or not os.path.exists(file) or os.path.samefile(own, file)


def _load_main(target: Target) -> ModuleType:
    """Run the program's own file once more, but not as `__main__`, so that what it guards stays unrun.

    Its module is in place before it runs: `multiprocessing`, once imported, calls whatever is `__main__` by this name.
    """
    loaded = sys.modules.get(MAIN)
    if loaded is not None and getattr(loaded, "__duly_target__", None) == (target.module, target.file):
        return loaded
    module, code = _main_of(target)
    before = {name: sys.modules.get(name) for name in ("__main__", MAIN)}
    sys.modules["__main__"] = sys.modules[MAIN] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - the user's own program
    except BaseException:
        sys.modules.update({name: old for name, old in before.items() if old is not None})
        raise
    return module


def _main_of(target: Target) -> tuple[ModuleType, CodeType]:
    module, code = ModuleType(MAIN), None
    if target.file is not None:
        spec, file = None, target.file
        with io.open_code(file) as source:
            code = compile(source.read(), file, "exec", dont_inherit=True)
    else:
        spec = importlib.util.find_spec(str(target.module))
        code = getattr(spec.loader, "get_code", _no_code)(spec.name) if spec is not None else None
        if spec is None or code is None:
            raise TargetNotFound(f"there is no module {target.module!r} on sys.path")
        file = spec.origin or ""
        module.__dict__.update(__package__=spec.parent, __loader__=spec.loader)
    own = (target.module, target.file)
    module.__dict__.update(__file__=file, __spec__=spec, __builtins__=builtins, __duly_target__=own)
    return module, code


def _no_code(_name: str) -> None:
    return None


def _load_file(file: str) -> ModuleType:
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == file:
            return module
    name = os.path.splitext(os.path.basename(file))[0]
    if name in sys.modules or not name.isidentifier():
        name = f"duly_target_{name}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TargetNotFound(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(file))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
