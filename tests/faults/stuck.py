"""A submitter that stops, as by SIGSTOP, in the midst of a commit: before its n-th write to the disk.

Run as `python -m tests.faults.stuck URL N`. It says which task it is about to submit, and then that it has.
"""

from __future__ import annotations

import os
import signal
import sys

import duly
from tests.faults.shop import work
from tests.faults.trouble import Trouble


class Stuck(Trouble):
    """Stops this process once."""

    left = -1

    def fails(self, call: str) -> int:
        if call == "pwrite64":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
        return 0


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main(url: str, at: str) -> None:
    with Stuck() as stuck, duly.App(url) as app:
        app.submit(work.passport(0.0))
        passport = work.passport(0.0)
        say(passport.id)
        stuck.left = int(at)
        app.submit(passport)
        say("submitted")


if __name__ == "__main__":
    main(*sys.argv[1:])
