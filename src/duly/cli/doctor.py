"""`duly doctor`."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import click

from duly import config
from duly.app import App
from duly.cli import exits
from duly.cli.places import app_option, named_app, url_option
from duly.cli.streams import plain, put, put_json, talk_options
from duly.cli.words import ago, count, duration
from duly.core.endings import megabytes
from duly.core.stopping import SAMPLE_SECONDS
from duly.core.task import WAITING
from duly.engine.status import examine
from duly.errors import DulyError, StoreError
from duly.history import when
from duly.ports import Finding
from duly.runner.child import MEMORY_SLACK
from duly.runner.perform import perform
from duly.runner.pool import check_platform
from duly.store.sqlite.connection import is_safe
from duly.stores import IN_MEMORY, File, Place, Server


@click.command(
    "doctor",
    epilog="""\b
Examples:
  duly doctor
  duly doctor -a shop:app
  duly doctor --url sqlite:////var/lib/shop/duly.db --json
  duly doctor --node --status-file /run/shop/worker.json    for a liveness check
\b
Exit codes: 0 all is well, 1 something is not, 2 wrong usage.
""",
)
@app_option
@url_option
@click.option("--node", is_flag=True, help="Look at the one worker alone that writes the status file.")
@click.option("--status-file", type=click.Path(), help="Where that is, if not where the setting `status_file` says.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@talk_options
def command(app_name: str | None, url: str | None, node: bool, status_file: str | None, as_json: bool) -> exits.Exit:
    """Look whether all is well here: versions, platform, the store, who works on it, and what nobody can do.

    It reads all of the store's file, which may take a while. With an App it also looks for tasks that wait for actions
    which that does not declare.

    With --node it tells whether one worker lives: its status file is fresh, its process is there, and its last exchange
    with the store was not long ago. It opens no store and imports no App, unless that alone says where the file is.
    """
    findings: list[Finding] = []
    for finding in examine(_status_file(status_file, app_name)) if node else _findings(app_name, url):
        findings.append(finding)
        if not as_json:
            _show(finding)
    well = all(finding.ok for finding in findings)
    if as_json:
        put_json({"ok": well, "findings": [finding._asdict() for finding in findings]})
    return exits.Exit.OK if well else exits.Exit.FAILED


def _status_file(path: str | None, app_name: str | None) -> str:
    """Where a worker writes its status; ends the command if nobody says."""
    path = path or config.load({}).status_file
    app = named_app(app_name) if path is None else None
    path = app.config.status_file if app is not None else path
    if path is None:
        exits.refuse("which status file?", "name it: --status-file, DULY_STATUS_FILE=..., or the App's status_file=...")
    return path


def _show(finding: Finding) -> None:
    mark = click.style("ok", fg="green") if finding.ok else click.style("no", fg="red", bold=True)
    first, *more = plain(finding.text).splitlines() or [""]
    put(f"{mark}  {finding.what.ljust(10)}  {first}")
    for line in more:
        put(f"                {line}")


def _findings(app_name: str | None, url: str | None) -> Iterator[Finding]:
    app = named_app(app_name)
    store = app if url is None and app is not None else App(url)
    yield from _versions(store.place)
    yield _tried("platform", _platform)
    yield _tried("processes", _processes)
    yield _memory()
    yield from _store(store, app)


def _versions(place: Place) -> Iterator[Finding]:
    yield Finding(
        "duly", ok=True, text=f"{version('duly')} in {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}"
    )
    yield Finding("python", ok=True, text=f"{platform.python_version()} at {sys.executable}")
    if isinstance(place, Server):
        yield _tried("driver", place.driver)
        return
    import apsw  # noqa: PLC0415 - a driver that cannot be loaded is a finding, and comes after what can be said

    safe = is_safe(apsw.SQLITE_VERSION_NUMBER)
    bug = "free of the WAL-reset bug" if safe else "can corrupt a store (WAL-reset bug): install apsw >= 3.51.3"
    yield Finding("sqlite", ok=safe, text=f"SQLite {apsw.sqlite_lib_version()} in apsw {apsw.apsw_version()}, {bug}")


def _tried(what: str, look: Callable[[], str]) -> Finding:
    """What is found, or why nothing could be."""
    try:
        return Finding(what, ok=True, text=look())
    except DulyError as error:
        return Finding(what, ok=False, text=str(error))


def _platform() -> str:
    check_platform()
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()} {platform.release()} on {platform.machine()}, {count(cores, 'core')} for this process"


def _processes() -> str:
    began = time.monotonic()
    perform(abs, -1)
    return f"a task's process can be started; the first one took {duration(time.monotonic() - began)}, with its end"


def _memory() -> Finding:
    text = (
        f"a limit holds by a look every {SAMPLE_SECONDS * 1000:.0f} ms and by an rlimit; cgroups are not used\n"
        f"an attempt may exceed its limit by what it touches between two looks, and can never reserve more than twice "
        f"the limit and {megabytes(MEMORY_SLACK)}"
    )
    return Finding("memory", ok=True, text=text)


def _store(store: App, app: App | None) -> Iterator[Finding]:
    place = store.place
    if place == File(IN_MEMORY):
        yield Finding("store", ok=True, text="in memory: it ends with its process, and nothing outside can look at it")
        return
    try:
        if not place.exists():
            yield Finding("store", ok=True, text=f"there is none yet at {place}; the first submit or worker makes it")
            return
        yield from (finding for finding in store.examine() if finding.what != "sqlite")
        yield _nodes(store)
        if app is not None:
            yield _unserved(store, {(action.name, action.version) for action in app.actions})
    except StoreError as error:
        yield Finding("store", ok=False, text=str(error))


def _nodes(store: App) -> Finding:
    now = datetime.now(UTC)
    lines = [
        f"{node.label} (node {node.number}) "
        + (
            f"works, since {ago(when(node.started_at), now)}"
            if lives
            else "is gone: the next worker gives back its tasks"
        )
        for node, lives in store.nodes()
    ]
    working = sum(1 for _, lives in store.nodes() if lives)
    return Finding("workers", ok=True, text="\n".join([f"{count(working, 'worker')} at work", *lines]))


def _unserved(store: App, declared: set[tuple[str, int]]) -> Finding:
    """Tasks that wait for an action which the App does not declare."""
    waiting: Counter[tuple[str, int]] = Counter()
    for tally in store.stats():
        if tally.state in WAITING and (tally.action, tally.version) not in declared:
            waiting[tally.action, tally.version] += tally.tasks
    lines = [
        f"{count(tasks, 'task')} of {action}" + (f" v{version}" if version != 1 else "")
        for (action, version), tasks in sorted(waiting.items())
    ]
    if not lines:
        return Finding("actions", ok=True, text=f"{count(len(declared), 'action')} declared; no task waits for another")
    return Finding(
        "actions", ok=False, text="\n".join(["tasks wait for actions that the App does not declare:", *lines])
    )
