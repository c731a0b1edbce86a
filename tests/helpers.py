"""What tests of several rooms need: waiting for what must come true, and looking at processes."""

from __future__ import annotations

import dis
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from tools.waiting import alive, eventually  # noqa: F401 - tests have both from here


def parent(pid: int) -> int:
    """Return the id of a process's parent, 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def born(pid: int) -> float:
    """Return when a process began, in microseconds of the monotonic clock; never if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return float("inf")
    return ticks / os.sysconf("SC_CLK_TCK") * 1e6


def marked(mark: str) -> list[int]:
    """Return the processes whose environment, as it was at their start, holds this text."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as environment:
                if mark.encode() in environment.read() and alive(int(entry)):
                    found.append(int(entry))
        except OSError:  # gone meanwhile, or another's
            continue
    return found


@contextmanager
def no_descriptors(but: int = 0) -> Iterator[None]:
    """Let this process open no file, or only so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1
    with ExitStack() as undo:
        while (filler := os.dup(0)) < most:
            undo.callback(os.close, filler)
        os.close(filler)
        undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + but, hard))
        yield


class Interrupted(BaseException):
    pass


SIGNALS_ARE_SEEN_AFTER = ("CALL", "RESUME", "JUMP_BACKWARD")


def interrupted_at(place: int, write: Callable[[], object]) -> bool:
    """Whether a write was interrupted, as by a signal's handler that raises, at this one of the places where it can."""
    steps = 0
    last: dict[int, str] = {}  # by the frame's id: to hold a frame would keep it

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        file = frame.f_code.co_filename
        if event == "opcode" and ("/duly/" in file or "contextlib" in file):
            before = last.get(id(frame), "")
            last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before.startswith(SIGNALS_ARE_SEEN_AFTER):
                steps += 1
                if steps == place:
                    sys.settrace(None)
                    raise Interrupted
        return trace

    sys._getframe().f_trace_opcodes = True  # of frames to come, Python 3.12 heeds it only once some frame has had it
    try:
        sys.settrace(trace)
        write()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
    return False
