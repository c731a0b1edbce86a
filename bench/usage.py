"""What processes take: their tree, their CPU time, their memory."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from bench.trial import Failed


def tree(pid: int) -> set[int]:
    """A process and all below it."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


def cpu(pid: int) -> float:
    """Seconds of CPU time of all threads of a process; /proc counts in hundredths, which is too coarse here."""
    return time.clock_gettime((~pid << 3) | 2)  # the number of another process's clock: see clock_getcpuclockid(3)


def pss(pid: int) -> int:
    """Bytes of memory, of what is shared its part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Failed("this kernel does not tell memory that is shared")
