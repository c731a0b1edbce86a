"""The command line as a user has it: real processes, in a folder of their own with an App in shop.py."""

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from duly.cli import commands as command_line

SHOP = '''
import os
import signal
import threading

import duly

app = duly.App("sqlite:///shop.db", drain_timeout=20)


@app.action("email:send")
def send(to: str, text: str = "hello") -> str:
    print("sending to", to)
    return f"{text}, {to}"


@app.action("email:fail", max_attempts=2, retry=duly.Backoff(first=0))
def fail(code: int) -> None:
    for number in range(30):
        print("line", number)
    raise ValueError(f"refused with {code}")


@app.action("report:build", queue="reports", priority="low")
def build(task: duly.Task, path: str) -> str:
    """Run until there is such a file."""
    print("begun", task.id)
    while not os.path.exists(path):
        threading.Event().wait(0.01)
    return path


@app.action("report:stall", queue="reports", grace=30)
def stall() -> None:
    """Heed nobody."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    print("begun")
    while True:
        try:
            threading.Event().wait(0.1)
        except BaseException:
            print("asked")
'''

WORK = """
import json
import shop

with shop.app as app:
    made = {
        "sent": shop.send.submit("ann"),
        "failed": shop.fail.submit(7),
        "later": shop.send.using(delay="1h", priority="high").submit("bob", "späte Grüße, 5 €"),
        "dropped": shop.send.using(delay="2h").submit("carl"),
        "strange": app.submit("email:strange", [1]),
    }
    made["dropped"].cancel("\\x1b[31mby hand")
    with app.worker(1):
        made["sent"].wait(20), made["failed"].wait(20)
print(json.dumps({name: handle.id for name, handle in made.items()}))
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def data(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Running:
    """A command that is under way."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.err = ""

    def until(self, text: str, seconds: float = 30) -> None:
        """Read stderr until it has said this."""
        assert self.process.stderr is not None
        fd, deadline = self.process.stderr.fileno(), time.monotonic() + seconds
        while text not in self.err:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not said within {seconds} s, but: {self.err}"
            if select.select([fd], [], [], left)[0]:
                data = os.read(fd, 65536)
                assert data, f"{text!r} was never said, but: {self.err}"
                self.err += data.decode()

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> Done:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 30) -> Done:
        out, err = self.process.communicate(timeout=seconds)
        self.err += err.decode()
        return Done(self.process.returncode, out.decode(), self.err)


class Cli:
    """Runs duly in a folder."""

    def __init__(self, folder: Path, bytecode: Path) -> None:
        self.folder = folder
        self.bytecode = bytecode
        self.running: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "duly", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PYTHON"))}
        return {**inherited, "PYTHONPYCACHEPREFIX": str(self.bytecode), "PYTHONUTF8": "1", **more}

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        done = subprocess.run(
            self.command(*arguments), input=stdin.encode(), cwd=self.folder, env=self.environment(**environment),
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL, **environment: str) -> Running:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env=self.environment(**environment), stdin=stdin, stdout=pipe,
            stderr=pipe,
        )  # fmt: skip
        self.running.append(process)
        return Running(process)

    def shell(self, text: str) -> Done:
        """Run a shell's command, in which {duly} is the command line."""
        done = subprocess.run(
            ["sh", "-c", text.replace("{duly}", shlex.join(self.command()))], cwd=self.folder, env=self.environment(),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_terminal(self, *arguments: str, **environment: str) -> str:
        """Run a command on a terminal, and return all that was on it."""
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            process = subprocess.Popen(
                self.command(*arguments), cwd=self.folder, stdin=theirs, stdout=theirs, stderr=theirs,
                env=self.environment(TERM="xterm", COLUMNS="100", **environment),
            )  # fmt: skip
            self.running.append(process)
            os.close(theirs)
            seen = b""
            with suppress(OSError):  # by which a terminal's end is told
                while data := terminal.read(65536):
                    seen += data
            assert process.wait(30) == 0
        return seen.decode()

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            if process.stdout is not None:
                process.communicate()


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes keep what they compiled; to compile anew takes half of a command's time."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def cli(tmp_path: Path, bytecode: Path) -> Iterator[Cli]:
    """The command line in a folder with an App, and no store yet."""
    cli = Cli(tmp_path, bytecode)
    cli.write("shop.py", SHOP)
    yield cli
    cli.close()


Inside: TypeAlias = Callable[..., Done]


@pytest.fixture
def inside(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inside:
    """The command line inside this process, where what is wrong is found before any store or process: it is quicker."""

    def run(*arguments: str, folder: Path = cli.folder) -> Done:
        known = set(sys.modules)
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("DULY_")]:
                patch.delenv(name)
            patch.chdir(folder)
            patch.setattr(sys, "path", sys.path[:])
            code = command_line.run(arguments)
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
        return Done(code, *capsys.readouterr())

    return run


class History(NamedTuple):
    """A folder whose tasks have been worked on, and their ids."""

    cli: Cli
    ids: dict[str, str]


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory, bytecode: Path) -> History:
    """Tasks that were sent, failed, dropped, are for later, and one of an action nobody has. To be read only."""
    cli = Cli(tmp_path_factory.mktemp("history"), bytecode)
    cli.write("shop.py", SHOP)
    cli.write("work.py", WORK)
    done = subprocess.run(
        [sys.executable, "work.py"], cwd=cli.folder, env=cli.environment(), capture_output=True, timeout=60, check=True
    )
    return History(cli, json.loads(done.stdout))
