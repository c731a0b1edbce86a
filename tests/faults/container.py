"""A worker as the first process of a namespace of its own, as in a container."""

from __future__ import annotations

import os
import subprocess

from duly.runner.linux import children_of
from tests.helpers import eventually

COMMAND = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""What starts a program as process 1."""

if os.geteuid() != 0:
    COMMAND[1:1] = ["--user", "--map-root-user"]


def first(started: subprocess.Popen[bytes]) -> int:
    """The process that is number 1 in what was started."""
    return eventually(lambda: next(iter(children_of(started.pid)), 0))
