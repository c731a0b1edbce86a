"""The App of `shop.py` on a disk where no sync succeeds while there is a file `sick` beside the log of effects."""

from __future__ import annotations

import errno
import os

from tests.faults.shop import EFFECTS, app
from tests.faults.trouble import Trouble

__all__ = ["app"]


class Sick(Trouble):
    def fails(self, call: str) -> int:
        effects = os.environ.get(EFFECTS, "")
        sick = call == "sync" and os.path.exists(os.path.join(os.path.dirname(effects), "sick"))
        return errno.EIO if sick else 0


SICK = Sick()  # kept: SQLite calls into it for as long as this process lives
SICK.__enter__()
