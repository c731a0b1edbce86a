"""Row 10: a backup is made while all kinds of things happen, and used: what was promised by then, it keeps, too."""

from __future__ import annotations

from pathlib import Path

from tests.faults.checker import check_file
from tests.faults.mayhem import Mayhem, settled
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import Place

SECONDS = 60


def test_a_backup_made_under_load_keeps_all_that_was_promised_before(run: Run, place: Place, tmp_path: Path) -> None:
    backups = run.rounds(20)
    with Mayhem(place, run) as mayhem:
        mayhem.mix()
        for number in range(backups):
            mayhem.go_on(0.7)
            _restore(place, mayhem, tmp_path / f"copy-{number:02}")
        mayhem.settle()
    run.figure("backups restored", backups, "20")


def _restore(place: Place, mayhem: Mayhem, folder: Path) -> None:
    """Make a backup, and have a worker do what is left to do in it."""
    promised = mayhem.said()
    folder.mkdir()
    place.app.backup(folder / "duly.db")
    copy = Place(folder, place.served)
    try:
        mayhem.give_up(copy)
        copy.start("-c", "4")
        eventually(lambda: settled(copy), SECONDS)
        check_file(folder / "duly.db", promised["ack"])
        tasks = {info.id: info.state for info in copy.app.tasks()}
        revived = [task for task in promised.get("cancelled", ()) if tasks[task] != "cancelled"]
        assert not revived, f"cancelled before the backup, and not so in it: {revived}"
    finally:
        copy.end()
