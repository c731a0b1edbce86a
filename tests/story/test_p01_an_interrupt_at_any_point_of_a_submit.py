"""P1: Ctrl-C at any point of a submit: the task is there once or not at all, and the App still works."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.place import ON_BOTH, ROOT

TIMES = 250
MOST_SECONDS = {"one": 0.003, "many": 0.02, "loop": 0.01, "threads": 0.006}
"""How long an interrupt waits at most: some times what a submit takes."""


def heard(process, seconds):
    """Return the next line that the program says, or "" if it says nothing in so many seconds."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline().decode().strip() if ready else ""


def interrupt(process, dice, most):
    """Interrupt the program at some moment after it is armed, whenever it is; return how often it was."""
    pause, times = threading.Event(), 0
    until = time.monotonic() + 120
    while time.monotonic() < until:
        line = heard(process, 5.0)
        if line == "done" or process.poll() is not None:
            break
        if line == "armed":
            times += 1
        pause.wait(dice.uniform(0, most))  # without a line: an interrupt came where Python could only ignore it
        process.send_signal(signal.SIGINT)
    return times


@ON_BOTH
@pytest.mark.parametrize("form", MOST_SECONDS)
def test_what_is_interrupted_while_it_submits_stores_each_task_once_or_not_at_all(place, form):
    seed, most = random.randrange(2**32), place.share(TIMES)
    command = [sys.executable, "-m", "tests.story.submitter", f"{place.folder}/ids", form, str(most)]
    with subprocess.Popen(
        command, cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        times = interrupt(process, random.Random(seed), MOST_SECONDS[form])
        if times < most:
            process.kill()
        said = f"seed {seed}: {process.stderr.read().decode()}"
    assert (process.returncode, times) == (0, most), said
    lines = (place.folder / "ids").read_text().splitlines()
    tried, told = ({line[4:] for line in lines if line.startswith(what)} for what in ("try", "ack"))
    stored = [task.id for task in place.app.tasks()]
    assert told <= set(stored) <= tried, said
    assert len(set(stored)) == len(stored)
    assert len(told) >= most
    large = [row for row, _ in place.app.look_on(dict.fromkeys(stored, 0)) if row.payload == ""]
    assert large
    assert all(len(place.app.look(row.id)[0].payload) == 200_002 for row in large[:50])
