"""What the demo's tasks do: read one source file; and four that put the promises to the test.

Each task's process imports this module, so it asks for little.
"""

from __future__ import annotations

import ast
import os
import signal
import time
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import Any

from duly.core.outcome import Failure
from duly.runner.context import Task

LONGEST = 10
"""Functions of a file that are told: no more of one file can be among the longest of all."""

CHUNK = 1 << 20
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements stand in statements; what is inside expressions is not looked at, which takes a quarter the time."""


def read_source(path: str) -> dict[str, Any] | Failure:
    """Count lines, functions, classes and branches of a Python file, and find its longest functions.

    A file that cannot be read or parsed will be no better the next time: the answer is no, and no other attempt.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
    except OSError as error:
        return Failure(f"cannot be read: {error.strerror}", retry=False)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Failure(_why(error), retry=False)
    nodes = list(_nodes(tree))
    functions = [(name, node) for name, node in nodes if isinstance(node, FUNCTIONS)]
    longest = sorted(((_length(node), node.lineno, name) for name, node in functions), reverse=True)
    return {
        "lines": len(source.splitlines()),
        "functions": len(functions),
        "classes": sum(isinstance(node, ast.ClassDef) for _, node in nodes),
        "branches": sum(isinstance(node, BRANCHES) for _, node in nodes),
        "longest": longest[:LONGEST],
    }


def _why(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        place = f" at line {error.lineno}" if error.lineno else ""
        return f"does not parse{place}: {error.msg}"
    return f"does not parse: {error}"


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield each statement with the name of the function or class that it is or stands in."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        place, node = waiting.pop()
        yield place, node
        for child in chain.from_iterable(getattr(node, block, ()) for block in BLOCKS):
            name = f"{place}.{child.name}".lstrip(".") if isinstance(child, NAMED) else place
            waiting.append((name, child))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def never_end() -> None:
    """Run for ever, and heed no one who asks to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001, S112 - it is what this one is for
            continue


def eat_memory() -> None:
    """Take a little more memory every moment, and use it."""
    taken = []
    while True:
        taken.append(b"\1" * CHUNK)
        time.sleep(0.002)


def kill_itself() -> None:
    """End this very process the hard way."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail_twice(task: Task) -> str:
    """Fail at the first two attempts."""
    if task.attempt <= 2:
        raise ConnectionError(f"nobody answers at attempt {task.attempt}")
    return f"answered at attempt {task.attempt}"
