"""All kinds of load and all kinds of faults at once, at random."""

from __future__ import annotations

from tests.faults.mayhem import Mayhem
from tests.faults.run import Run
from tests.place import ON_BOTH, Place


@ON_BOTH
def test_whatever_is_asked_for_and_whatever_goes_wrong_the_promises_hold(run: Run, place: Place) -> None:
    with Mayhem(place, run) as mayhem:
        for _ in range(2):
            mayhem.mix()
        mayhem.go_on(run.count(50))
        mayhem.settle()
