from __future__ import annotations

from pathlib import Path

import duly


def answer() -> int:
    return 42


def test_what_waited_before_a_worker_started_is_claimed_without_waiting_for_the_poll(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/store.db", poll=60) as app:
        action = app.action("ask:answer")(answer)
        handle = action.submit()
        with app.worker(1):
            assert handle.result(timeout=20) == 42
