"""Has this process, whatever it runs, read a wall clock that a test steps; see `tests/faults/stepping.py`.

Python imports a module of this name at its start if it is on PYTHONPATH.
"""

import datetime  # noqa: ICN001
import mmap
import os
import struct
import time

path = os.environ.get("STEPPED_CLOCK")
if path:
    with open(path, "rb") as file:
        page = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    real, offset = time.time_ns, struct.Struct("q").unpack_from

    class Stepped(datetime.datetime):
        """`datetime`, whose now is that of the stepped clock."""

        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(time.time(), tz)

    time.time_ns = lambda: real() + offset(page)[0]
    time.time = lambda: time.time_ns() / 1e9
    datetime.datetime = Stepped
