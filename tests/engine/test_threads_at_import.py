"""Where importing a handler's module starts threads, each runner imports it by itself, once."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from duly.app import App

MODULE = """\
import os, threading

threading.Thread(target=threading.Event().wait, daemon=True).start()

def tell() -> int:
    return os.getpid()
"""


def test_its_threads_are_not_taken_for_what_a_task_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "threaded.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "threaded", raising=False)
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("pid:tell")(importlib.import_module("threaded").tell)
        with app.worker(1):
            pids = {handle.result(timeout=20) for handle in app.submit_many(action.passport() for _ in range(5))}
        assert len(pids) == 1
