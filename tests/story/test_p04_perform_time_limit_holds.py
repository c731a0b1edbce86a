"""P4: a time limit holds whatever the code does; the process and all it started are gone at most 1 s after the grace.

A machine with much else to do gets some seconds more.
"""

import threading
import time

import pytest

import duly
from tests.helpers import alive
from tests.runner import targets

LIMIT, GRACE, BUSY = 1.0, 0.4, 4.0


@pytest.mark.parametrize(
    "target",
    [
        targets.spin,
        targets.spin_in_c,
        targets.ignore_everything,
        targets.swallow,
        targets.swallow_the_cancel,
        targets.block_the_loop,
        targets.stop_itself,
        targets.thread_that_never_ends,
    ],
)
def test_it_holds_against(target):
    started = time.monotonic()

    with pytest.raises(duly.TaskTimedOut, match=r"timed out after 0\.2 s"):
        duly.perform(target, timeout=0.2, grace=GRACE)

    assert time.monotonic() - started < 0.2 + GRACE + 1.0 + BUSY


@pytest.mark.parametrize("target", [targets.leave_children_and_spin, targets.breed, targets.perform_within_for_ever])
def test_all_that_was_started_is_gone_when_it_is_told(target, tmp_path):
    path = tmp_path / "pids"

    with pytest.raises(duly.TaskTimedOut):
        duly.perform(target, str(path), timeout=LIMIT, grace=GRACE)

    pids = path.read_text().split()
    assert len(pids) >= 4
    assert not any(alive(int(pid)) for pid in pids)


def test_code_is_asked_before_it_is_terminated_and_terminated_before_it_is_killed(tmp_path):
    path = tmp_path / "said"

    with pytest.raises(duly.TaskTimedOut):
        duly.perform(targets.hear_each_rung, str(path), timeout=0.3, grace=1.0)

    (asked, at), (terminated, later) = (line.split() for line in path.read_text().splitlines())
    assert (asked, terminated) == ("asked", "terminated")
    assert float(later) - float(at) >= 0.3


def test_many_limits_hold_at_once():
    ends = []

    def perform():
        try:
            duly.perform(targets.ignore_everything, timeout=0.5, grace=0.2)
        except duly.TaskTimedOut as error:
            ends.append(error)

    threads = [threading.Thread(target=perform) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ends) == 6
