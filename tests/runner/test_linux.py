import os
import subprocess
import sys

import pytest

from duly.runner import linux
from tests.helpers import alive, eventually


@pytest.fixture
def sleeper():
    started = []

    def start(code="import time; time.sleep(60)", **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, **environment}, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_knows_its_parent_and_children(sleeper):
    child = sleeper().pid

    assert linux.parent_of(child) == os.getpid()
    assert child in linux.children_of(os.getpid())
    assert linux.parent_of(2**22 + 1) is None


def test_a_familys_memory_is_that_of_all_its_members(sleeper):
    code = """
import subprocess, sys, time
code = "import time; x = b'x' * 50_000_000; print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code])
time.sleep(60)
"""
    parent = sleeper(code)
    assert parent.stdout.read(1) == b"1"
    family = linux.Family(parent.pid)

    assert linux.own_memory(parent.pid) < 50_000_000 < family.memory(0) < 200_000_000
    assert len(family.members()) == 2
    for pid in family.members() - {parent.pid}:
        os.kill(pid, 9)


def test_the_memory_of_a_process_that_is_gone_is_nothing():
    assert linux.own_memory(2**22 + 1) == linux.shared_memory(2**22 + 1) == 0


def test_whoever_is_below_is_killed_at_once_with_all_that_is_below_it(sleeper):
    code = """
import os, signal
for _ in range(3):
    if os.fork():
        break
os.write(1, f"{os.getpid()}\\n".encode())
while True:
    signal.pause()
"""
    first = sleeper(code)
    pids = {int(first.stdout.readline()) for _ in range(4)}

    assert set(linux.kill_all_below([first.pid])) == pids
    eventually(lambda: not any(map(alive, pids)))


def test_those_with_a_label_are_found_and_killed_and_no_others(sleeper):
    label = f"test-{os.getpid()}"
    ours, others = sleeper(DULY_NODE=label), sleeper(DULY_NODE=label + "0")
    eventually(lambda: ours.pid in linux.labelled(label))

    killed = linux.kill_labelled(label)

    assert killed == {ours.pid}
    eventually(lambda: not alive(ours.pid))
    assert alive(others.pid)
    assert linux.kill_labelled(label) == set()
