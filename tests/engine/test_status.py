from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from duly.engine import status
from duly.engine.settings import Settings
from duly.engine.status import Status, StatusFile, began, examine, judge
from tests.helpers import alive, eventually

NOW = 1_000.0


def status_of(**more: Any) -> Status:
    fields: dict[str, Any] = {
        "pid": 7, "began": 70, "host": "here", "version": "1", "node": 3, "since": "today", "written_at": "now",
        "written": NOW, "poll": 1.0, "concurrency": 4, "running": 2, "held": 5, "draining": False, "exchange_age": 0.5,
        "store": "ok",
    }  # fmt: skip
    return Status(**{**fields, **more})


def test_one_that_lives_writes_and_exchanges_is_well() -> None:
    assert [finding.ok for finding in judge(status_of(), NOW + 1, 70)] == [True, True, True]


@pytest.mark.parametrize("now_began", [None, 71])
def test_a_process_that_is_gone_is_told_though_its_id_is_anothers_now(now_began: int | None) -> None:
    (finding,) = judge(status_of(), NOW + 1, now_began)
    assert not finding.ok
    assert finding.text.startswith("is gone, and has not said goodbye: node 3, process 7 on here")


@pytest.mark.parametrize("age", [status.FRESH + 0.1, -1.0])
def test_a_status_that_is_not_written_anew_is_of_a_loop_that_hangs(age: float) -> None:
    *_, finding = judge(status_of(), NOW + age, 70)
    assert not finding.ok
    assert "its loop hangs, or is stopped" in finding.text


def test_a_worker_that_cannot_reach_its_store_says_why() -> None:
    *_, finding = judge(status_of(exchange_age=31.0, store="no space left"), NOW + 1, 70)
    assert (finding.ok, finding.text) == (False, "none with the store for 32 s: no space left")


def test_who_looks_seldom_exchanges_seldom() -> None:
    assert all(finding.ok for finding in judge(status_of(exchange_age=200, poll=60.0), NOW + 1, 70))
    assert not all(finding.ok for finding in judge(status_of(exchange_age=700, poll=60.0), NOW + 1, 70))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = StatusFile(str(tmp_path / "status.json"), "1.2")
    file.write(Settings(4), node=1, running=0, held=0, draining=True, exchange_age=0.0, store="ok")
    findings = examine(file.path)
    assert [finding.ok for finding in findings] == [True, True, True]
    assert "is to end" in findings[1].text
    assert os.listdir(tmp_path) == ["status.json"]
    file.remove()
    file.remove()
    (finding,) = examine(file.path)
    assert (finding.ok, "no worker runs" in finding.text) == (False, True)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": "x"}'])
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    (finding,) = examine(str(tmp_path / "status.json"))
    assert (finding.ok, "cannot be read" in finding.text) == (False, True)


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = StatusFile(str(tmp_path / "none" / "status.json"), "1")
    for _ in range(3):
        file.write(Settings(4), node=1, running=0, held=0, draining=False, exchange_age=0.0, store="ok")
    assert caplog.text.count("cannot be written: No such file") == 1
    (tmp_path / "none").mkdir()
    file.write(Settings(4), node=1, running=0, held=0, draining=False, exchange_age=0.0, store="ok")
    assert msgspec.json.decode((tmp_path / "none" / "status.json").read_bytes())["pid"] == os.getpid()


def test_a_process_has_begun_until_it_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert began(child.pid) is not None
    assert began(child.pid) == began(child.pid)
    child.kill()
    eventually(lambda: not alive(child.pid))
    assert began(child.pid) is None, "a zombie does not live"
    child.communicate()
    assert began(child.pid) is None


def test_two_workers_that_write_the_same_file_are_told_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other, path = os.getppid(), tmp_path / "status.json"
    for written, warned in ((time.monotonic() - 100, 0), (time.monotonic(), 1)):
        path.write_bytes(msgspec.json.encode(status_of(pid=other, began=began(other), written=written)))
        file = StatusFile(str(path), "1")
        for _ in range(2):
            file.write(Settings(4), node=1, running=0, held=0, draining=False, exchange_age=0.0, store="ok")
        assert caplog.text.count(f"process {other} writes {path}, too") == warned
