"""A caller that finds the store free does its own job; whatever interrupts it there leaves the store to the others."""

from __future__ import annotations

import threading
from pathlib import Path

from duly.app import App
from tests.helpers import interrupted_at


def test_an_interrupt_anywhere_in_a_submit_leaves_the_store_to_others(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        passports = [app.passport("some:thing", n) for n in range(1000)]

        def submit() -> str:
            return app.submit(passports.pop()).refresh().state

        assert submit() == "ready"
        place = 1
        while interrupted_at(place, submit):
            thread = threading.Thread(target=submit, daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive(), f"after an interrupt at instruction {place}"
            assert submit() == "ready"
            place += 1
        assert place > 60
        assert len({task.id for task in app.tasks()}) > 2 * place
