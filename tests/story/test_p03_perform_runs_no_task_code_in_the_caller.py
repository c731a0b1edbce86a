"""P3: no task code runs in the process that has it performed; it is given no handle, secret or path of a store."""

import os
import sys
import time

import pytest

import duly
from tests.helpers import alive
from tests.runner import targets


def test_the_module_is_imported_by_the_other_process_alone(tmp_path):
    path = tmp_path / "only_there.py"
    path.write_text("import os\nwhere = os.getpid()\ndef task(options): return where\n")

    where = duly.perform(path).value

    assert where != os.getpid()
    assert "only_there" not in sys.modules


def test_it_is_given_no_descriptor_and_no_path_of_a_store(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/secret-store.db"
    monkeypatch.setenv("DULY_URL", url)
    with duly.App(url) as app:
        assert list(app.tasks()) == []  # so that it is open
        files = duly.perform(targets.open_files).value
        there = duly.perform(targets.surroundings).value

    assert not any("secret-store" in file for file in files.values())
    assert "secret-store" not in repr(there["env"])


def test_even_a_descriptor_that_every_child_would_inherit_is_not(tmp_path):
    with open(tmp_path / "inheritable", "w") as file:
        os.set_inheritable(file.fileno(), True)
        files = duly.perform(targets.open_files).value

    assert not any("inheritable" in file for file in files.values())


def test_it_cannot_write_to_the_process_that_started_it():
    files = duly.perform(targets.open_files).value

    assert {"0", "1", "2"} < set(files)
    assert len([file for file in files.values() if file.startswith("socket:")]) == 1  # its own channel


def test_it_cannot_outlive_what_it_was_performed_for(tmp_path):
    path = tmp_path / "pids"

    duly.perform(targets.leave_children, str(path))

    assert not any(alive(int(pid)) for pid in path.read_text().split())


@pytest.mark.parametrize("target", [targets.write_everywhere, targets.close_all_files, targets.stop_the_zygote])
def test_it_cannot_block_the_caller_whatever_it_does_to_what_connects_them(target):
    started = time.monotonic()

    with pytest.raises((duly.TaskDied, duly.TaskTimedOut)):
        duly.perform(target, timeout=0.5, grace=0.2)

    assert time.monotonic() - started < 10
