"""`duly demo`."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
import tempfile
from collections.abc import Iterator

import click

from duly.app import App
from duly.cli import exits
from duly.cli.progress import watching
from duly.cli.streams import put, put_json, say, styled, talk_options
from duly.cli.words import count, duration, lines
from duly.config import MOST_RUNNERS
from duly.demo.work import Report, Work, sources
from duly.stores import IN_MEMORY, File

DRAIN_SECONDS = 0.2
"""What is running may go on for so long if the demo is interrupted; after that it is stopped."""

SHOWN = 10
"""Files that answered no, told by name; --json has all."""

SINGULAR = {"lines": "line", "functions": "function", "classes": "class", "branches": "branch"}
MOST_WHY = 64
"""Characters of a reason in a line for people."""


@click.command(
    "demo",
    epilog="""\b
Examples:
  duly demo
  duly demo ~/src/shop                       read these Python files instead
  duly demo --url sqlite:///demo.db --json
\b
Exit codes: 0 all promises were kept, 1 one was not, 2 wrong usage, 4 the store cannot be used, 130 interrupted.
""",
)
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--url", metavar="URL", help="The store, a file that is not there yet. Else one in a new folder.")
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, MOST_RUNNERS), metavar="N", help="Runners; else one for each core."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@talk_options
def command(folder: str | None, url: str | None, concurrency: int | None, as_json: bool) -> exits.Exit:
    """Show durable tasks at work, in some ten seconds.

    Each source file of Python's own standard library, or of FOLDER, is a task: a process of its own reads and measures
    it. Among them are four that put duly to the test: one never ends, one eats memory, one kills its own process, and
    one fails twice. The store is kept, so that you can look at it afterwards.
    """
    folder = os.path.abspath(folder or sysconfig.get_path("stdlib"))
    files = sources(folder)
    if not files:
        exits.refuse(f"there are no Python files in {folder}", "name a folder that has some: duly demo FOLDER")
    with _app(url) as app:
        report = _run(app, folder, files, concurrency)
    if as_json:
        put_json(report)
    else:
        _show(report)
    return exits.Exit.OK if report.ok else exits.Exit.FAILED


def _app(url: str | None) -> App:
    """The App of a store that is new: nobody's is touched."""
    url = url or f"sqlite:///{tempfile.mkdtemp(prefix='duly-demo-')}/demo.db"
    place, cure = App(url).place, "the demo makes a store of its own: name a file that is not there"
    if not isinstance(place, File):
        exits.refuse(f"{place} is on a server", cure)
    if place == File(IN_MEMORY):
        exits.refuse("a store in memory ends with its process: there would be nothing to look at")
    if os.path.lexists(place.path):
        exits.refuse(f"{place} is there already", cure)
    return App(place.url, drain_timeout=DRAIN_SECONDS)


def _run(app: App, folder: str, files: list[str], concurrency: int | None) -> Report:
    work = Work(app, folder, files)
    work.submit()
    say(f"{count(len(files), 'source file')} of {folder}, each a task; and four that put duly to the test")
    say(f"the store: {app.place}")
    with app.worker(concurrency), watching(len(files)) as watch:
        for result in work.results():
            watch(work.trials, result is not None)
    return work.report()


# for people --------------------------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    for part in (_promises(report), _longest(report), _refused(report), _totals(report), _next(report)):
        put()
        for line in part:
            put(line)


def _promises(report: Report) -> Iterator[str]:
    head = ("task", "what was asked", "what became of it", "attempts", "took", "")
    rows = [
        (one.action, one.asked, one.state + (f": {one.cause}" if one.cause else ""), str(one.attempts),
         duration(one.seconds), "as promised" if one.kept else "NOT as promised")
        for one in report.trials
    ]  # fmt: skip
    title, *told = lines([head, *rows], right=(3,))
    yield click.style(title, bold=True)
    for line, one in zip(told, report.trials, strict=True):
        yield click.style(line, fg=None if one.kept else "red")


def _longest(report: Report) -> Iterator[str]:
    yield click.style("The longest functions", bold=True)
    for line in lines([(str(f.lines), f"{f.file}:{f.line}", f.name) for f in report.longest], right=(0,)):
        yield f"  {line}"


def _refused(report: Report) -> Iterator[str]:
    if report.refused:
        yield click.style(f"{count(len(report.refused), 'file')} answered no, and were not tried again", bold=True)
    else:
        yield click.style("No file answered no", bold=True)
    for line in lines([(one.file, _cut(one.why)) for one in report.refused[:SHOWN]]):
        yield f"  {line}"
    if len(report.refused) > SHOWN:
        yield f"  and {len(report.refused) - SHOWN:,} more"
    for one in report.unexpected:
        yield styled(f"  {one.file}: {one.why}, which should not be", "failed")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_WHY else text[: MOST_WHY - 1] + "…"


def _totals(report: Report) -> Iterator[str]:
    sizes = ", ".join(count(number, SINGULAR[name], name) for name, number in report.sizes.items())
    yield f"{count(report.read, 'file')} read: {sizes or 'nothing in them'}"
    yield f"{count(report.tasks, 'task')} in {duration(report.seconds)}: {report.per_second:,.0f} a second"
    left = "no process is" if not report.left_behind else f"{count(report.left_behind, 'process', 'processes')} are"
    yield styled(f"{left} left behind", "failed" if report.left_behind else "")


def _next(report: Report) -> Iterator[str]:
    duly = _myself()
    url = shlex.quote(report.url)
    yield click.style("Look at the store yourself", bold=True)
    yield f"  {duly} tasks --url {url} --state failed"
    for one in report.trials:
        yield f"  {duly} show --url {url} {one.id[-12:]}"


def _myself() -> str:
    """How this command can be called again; a checkout's own environment need not be on the shell's PATH."""
    path = os.path.abspath(sys.argv[0])
    if os.path.basename(path) != "duly":
        return f"{shlex.quote(sys.executable)} -m duly"
    here = os.getcwd() + os.sep
    return shlex.quote(path.removeprefix(here)) if "VIRTUAL_ENV" not in os.environ and path.startswith(here) else "duly"
