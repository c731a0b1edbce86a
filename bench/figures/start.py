"""What it takes to import duly, and to ask the command line for help."""

from __future__ import annotations

from statistics import median

from bench.measure import Effort, Figure, Line, Sample
from bench.trial import Trial

RUNS = 20

BARE = ("-c", "pass")
PROGRAMS = {
    "import": ("-c", "import duly"),
    "import-app": ("-c", "import duly; duly.App"),
    "help": ("-m", "duly", "--help"),
}


def start(trial: Trial, _effort: Effort) -> Sample:
    """Wall time of a process from start to end, less that of a bare interpreter; medians of 20, in turn.

    `import duly` loads little before a name of it is used; `import-app` is what all who use an App pay.
    """
    times: dict[str, list[float]] = {name: [] for name in ("bare", *PROGRAMS)}
    for _ in range(1 + RUNS):
        for name, program in [("bare", BARE), *PROGRAMS.items()]:
            times[name].append(trial.time(*program))
    bare = median(times["bare"][1:])
    return {name: (median(times[name][1:]) - bare) * 1e3 for name in PROGRAMS}  # the first wrote bytecode


def bare(trial: Trial, _effort: Effort) -> Sample:
    """The bare interpreter itself."""
    return dict.fromkeys(PROGRAMS, median(trial.time(*BARE) for _ in range(RUNS)) * 1e3)


START = Figure(
    "start",
    (
        Line("import", "ms", must=60, aim=30, less=True),
        Line("import-app", "ms", must=60, aim=30, less=True),
        Line("help", "ms", must=150, aim=75, less=True),
    ),
    start,
    bare,
)
