"""Which errors are the same error, so that a thousand of them are one line in a report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_VARIABLE = re.compile(
    r"""(?<!\w)b?'(?:[^'\\]|\\.)*+(?:'|$)   # quoted text, but not what follows the mark in "can't"
      | (?<!\w)b?"(?:[^"\\]|\\.)*+(?:"|$)
      | \b0x[0-9a-fA-F]+\b           # addresses
      | \b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b
      | \b[0-9a-fA-F]{12,}\b         # hashes
      | -?\d+(?:\.\d+)?(?:e[+-]?\d+)?   # numbers
    """,
    re.VERBOSE,
)


def fingerprint(kind: str, message: str, frames: Iterable[tuple[str, str]]) -> str:
    """Return 16 hex digits that are equal for errors of one class raised in the same place with alike messages.

    `frames` are (file name without folders, function) of the user's code, outermost first; line numbers are left out,
    so that an edit above does not make a new error. Numbers, quoted text, addresses and hashes in the message count
    as equal.

    >>> fingerprint("KeyError", "'a'", [("m.py", "f")]) == fingerprint("KeyError", "'b'", [("m.py", "f")])
    True
    """
    first_line = _VARIABLE.sub("?", message.partition("\n")[0][:10_000])[:500]
    parts = [kind, first_line, *(f"{file}:{function}" for file, function in frames)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
