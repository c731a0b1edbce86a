"""Look over the shape of the code in src/duly.

Long modules and functions are listed unless a comment gives the reason: `# long: why` on the line of
the `def` or just above it, `# long module: why` near the top of the file. A public name without a
docstring is an error.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "duly"
MODULE_LINES = 400
FUNCTION_LINES = 40
TOP_LINES = 30  # how far down a module may give its reason

MODULE_REASON = re.compile(r"#\s*long module:\s*\S")
FUNCTION_REASON = re.compile(r"#\s*long:\s*\S")
# Decorators of definitions that another one speaks for.
SPOKEN_FOR = {"overload", "setter", "deleter"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def long_parts(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and description of whatever is long and gives no reason."""
    if len(lines) > MODULE_LINES and not any(map(MODULE_REASON.search, lines[:TOP_LINES])):
        yield 1, f"module of {len(lines)} lines"
    for node in ast.walk(tree):
        if isinstance(node, Function) and not gives_reason(node, lines):
            length = span(node) - docstring_span(node)
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name}: {length} lines"


def gives_reason(node: Function, lines: list[str]) -> bool:
    """Say whether a comment on the def line, or above it and its decorators, gives a reason."""
    first = min(item.lineno for item in [node, *node.decorator_list])
    places = {node.lineno, node.lineno - 1, first - 1} - {0}
    return any(FUNCTION_REASON.search(lines[place - 1]) for place in places)


def span(node: ast.stmt) -> int:
    """Count the lines from first to last."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def docstring_span(node: Function) -> int:
    """Count the lines of the docstring, if there is one."""
    return 0 if ast.get_docstring(node, clean=False) is None else span(node.body[0])


def undocumented(node: Documented, name: str = "") -> Iterator[tuple[int, str]]:
    """Yield the line and description of every public name, from this one inwards, without a docstring."""
    if ast.get_docstring(node) is None:
        yield getattr(node, "lineno", 1), f"{name or 'module'} has no docstring"
    if not isinstance(node, Function):
        for inner in definitions(node.body):
            decorators = set(map(last_name, inner.decorator_list))
            if not inner.name.startswith("_") and not decorators & SPOKEN_FOR:
                yield from undocumented(inner, f"{name}.{inner.name}".lstrip("."))


def definitions(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """Yield the definitions in a body, those made under a condition included."""
    for statement in body:
        if isinstance(statement, ast.ClassDef | Function):
            yield statement
        elif isinstance(statement, ast.If | ast.Try):
            yield from definitions([*statement.body, *statement.orelse])


def last_name(decorator: ast.expr) -> str:
    """Give the last part of a decorator's dotted name."""
    return ast.unparse(decorator).rpartition(".")[2]


def main() -> int:
    """Print what was found, and return 1 if a docstring is missing."""
    missing = 0
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree, lines = ast.parse(text), text.splitlines()
        where = path.relative_to(SOURCE.parent)
        for line, what in long_parts(tree, lines):
            print(f"{where}:{line}: long: {what}")
        for line, what in undocumented(tree):
            print(f"{where}:{line}: error: {what}")
            missing += 1
    if missing:
        print(f"{missing} public names without a docstring")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
