"""Does what a page of the documentation shows: `python tests/snippets.py PAGE`, in a folder of its own.

Fenced blocks, from the first to the last:

* with a file's name behind the language (```` ```python shop.py ````): the file is written;
* `pycon`: a session, all in one namespace; what is printed must be what is shown (`...` stands for anything);
* `python`: a program's lines, in the same namespace; what a line prints must be the comment behind it;
* `console`: lines after `$ ` go to one shell, must succeed, and print what is shown, if anything is.

Others are for people alone.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST
FENCE = re.compile(r"^```(\w+)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DONE = "\1"
LOG = "talk.log"


class Block(NamedTuple):
    language: str
    name: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    for found in FENCE.finditer(page):
        language, name, text = found.groups()
        yield Block(language, name.strip(), text, page.count("\n", 0, found.start()) + 1)


class Shell:
    """One shell for all of a page; what runs in its background is ended with it, and stderr goes into a log."""

    def __init__(self) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True,
        )  # fmt: skip
        self.run(f"exec 2>>{LOG}")

    def run(self, command: str) -> tuple[str, int]:
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        if command.endswith(" &"):
            command = f"{command[:-2]} >>{LOG} &"
        self._bash.stdin.write(f"{command}\necho {DONE}$?{DONE}\n")
        self._bash.stdin.flush()
        said = ""
        while not (end := re.search(f"{DONE}(\\d+){DONE}\n$", said)):
            line = self._bash.stdout.readline()
            assert line, f"the shell ended: {said}"
            said += line
        return said[: end.start()], int(end[1])

    def close(self) -> None:
        self.run("kill $(jobs -p) 2>/dev/null; wait")
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()


class Page:
    """What runs a page's blocks."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def do(self, block: Block) -> None:
        if block.name:
            Path(block.name).parent.mkdir(parents=True, exist_ok=True)
            Path(block.name).write_text(block.text)
        elif block.language == "pycon":
            self._session(block)
        elif block.language == "python":
            self._program(block)
        elif block.language == "console":
            self._console(block)

    def _session(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, self._names, f"line {block.line}", None, block.line)
        test.globs = self._names
        told: list[str] = []
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append, clear_globs=False)
        assert not told, "".join(told)

    def _program(self, block: Block) -> None:
        shown = re.findall(r"^ *print\(.*\)  # (.*)$", block.text, re.MULTILINE)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.text, f"line {block.line}", "exec"), self._names)
        if shown:
            _compare("\n".join(shown), out.getvalue(), block)

    def _console(self, block: Block) -> None:
        for command, want in re.findall(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            said, code = self._shell.run(command)
            assert code == 0, f"line {block.line}: {command}\nended with {code}: {said}\n{_talk()}"
            if want:
                _compare(want, said, block)


def _compare(want: str, got: str, block: Block) -> None:
    matches = doctest.OutputChecker().check_output(want.rstrip() + "\n", got.rstrip() + "\n", FLAGS)
    assert matches, f"line {block.line}: shown is\n{want}\nprinted was\n{got}\n{_talk()}"


def _talk() -> str:
    log = Path(LOG)
    return log.read_text(errors="replace") if log.exists() else ""


def main(path: str) -> None:
    page = Path(path).read_text("utf-8")
    shell = Shell()
    sys.path.insert(0, os.getcwd())
    try:
        runner = Page(shell)
        for block in blocks(page):
            runner.do(block)
    finally:
        shell.close()


if __name__ == "__main__":
    main(sys.argv[1])
