"""Row 11: all kinds of load and faults for half an hour; what lives through it takes no more at the end than before."""

from __future__ import annotations

import os
import threading

from tests.faults.flat import of_file, of_process
from tests.faults.mayhem import Mayhem
from tests.faults.run import Run
from tests.place import Place

MINUTES = "DULY_SOAK_MINUTES"
"""The environment variable that says how long it is in a soak: 30, if nothing else."""

SHORT_SECONDS = 6.0
PACE = "1"
"""Seconds between two doings of each of a submitter's threads at most: the store keeps all tasks to the end."""


def test_what_lives_through_mixed_load_and_kills_takes_no_more_at_the_end(run: Run, place: Place) -> None:
    seconds = 60 * float(os.environ.get(MINUTES, "30")) if run.soak else SHORT_SECONDS
    pause, passing = ((0.5, 2.0), 0) if run.soak else ((0.05, 0.5), 4)  # a half of 3 s is no trend
    with Mayhem(place, run, spared=1) as mayhem:
        gauges = [
            *of_process("supervisor", mayhem.spared[0].pid, passing),
            *of_process("submitter", mayhem.mix(PACE).pid, passing),
            of_file("log", f"{place.folder}/duly.db-wal"),
        ]
        mayhem.mix(PACE)
        over = threading.Event()

        def look() -> None:
            while not over.wait(seconds / 400):
                for gauge in gauges:
                    gauge.look()

        watch = threading.Thread(target=look)
        watch.start()
        mayhem.go_on(seconds, pause)
        over.set()
        watch.join()
        run.figure("minutes", seconds / 60, "30")
        run.figure("in its middle, and growth in its second half", ", ".join(map(str, gauges)))
        mayhem.settle()
    grown = [str(gauge) for gauge in gauges if not gauge.flat]
    assert not grown, f"more and more: {grown}"
