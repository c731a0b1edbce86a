"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import report
from bench.figures import FIGURES
from bench.measure import FULL, QUICK, Figure, measured, rows_of
from bench.sides import Side, other, this
from bench.trial import scratch


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 if something misses what it must reach (never after a quick run), else 0."""
    chosen = _parser().parse_args(arguments)
    effort = QUICK if chosen.quick else FULL
    rows = []
    with tempfile.TemporaryDirectory(prefix="duly-bench-", dir=scratch()) as name, _sides(chosen.against) as sides:
        folder = Path(name)
        print(report.heading(folder, effort, sides), end="\n\n", flush=True)
        for figure in chosen.figures or FIGURES:
            rows += rows_of(figure, measured(figure, effort, sides, folder, report.progress))
    print(report.summary(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0 if chosen.quick or all(row.met for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./x bench",
        description="Measure what duly can do here, each figure beside the raw limit of the same kind.",
        epilog="Exit code 1: something misses what it must reach; a quick run never says so.",
    )
    names = " ".join(figure.name for figure in FIGURES)
    parser.add_argument("figures", nargs="*", type=_figure, metavar="NAME", help=f"all of these unless named: {names}")
    parser.add_argument("--quick", action="store_true", help="few and short repeats, to see where one stands")
    parser.add_argument("--against", metavar="REF", help="measure another revision, in turn with this one")
    parser.add_argument("--json", type=_file, metavar="FILE", help="write the rows into a file, too")
    return parser


def _figure(name: str) -> Figure:
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise argparse.ArgumentTypeError(f"there is no figure {name!r}")


def _file(name: str) -> Path:
    """A file that can be written: to be known before anything is measured."""
    try:
        Path(name).open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: {error.strerror}") from None
    return Path(name)


@contextmanager
def _sides(ref: str | None) -> Iterator[list[Side]]:
    if ref is None:
        yield [this()]
        return
    with other(ref) as second:
        yield [this(), second]
