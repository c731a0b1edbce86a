"""Payloads and results too large for the row of their task: pieces of at most 1 MiB in a table of their own.

They are written before the transaction of the row that names them, each in one of its own that need not reach the disk
by itself: the row's commit brings all of them there. So nobody holds the write lock for longer than a piece takes,
where a payload of 64 MiB would make all others wait a quarter of a second. What no row names in the end is swept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from duly.core.task import Held
from duly.ports import Reply, Request

LARGE = 64 * 1024
"""Characters of a text from which on it is kept apart."""

CHUNK = 1024 * 1024
"""Bytes of one piece."""

KEPT_SECONDS = 3600
"""How long a piece waits for its row."""

MOST_BYTES = 64 * 1024 * 1024
"""Large payloads that are claimed in one exchange, all in all; a single one may be as large as it is."""

OLD_SIZE = 16 * 1024 * 1024
"""What a payload of the table `blob` is taken to have, whose row does not tell."""

_NAMED = "#"
replace = msgspec.structs.replace
_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(list[int]).decode


class Reference(msgspec.Struct, frozen=True):
    """Names the chunks of one text, and tells its length."""

    size: int
    chunks: list[int]

    def __str__(self) -> str:
        return _NAMED + _encode([self.size, *self.chunks]).decode()


def fits(text: str) -> bool:
    """Whether a text may stand in a row: it is not large, nor does it look like what stands for one."""
    return 0 < len(text) <= LARGE and text[0] != _NAMED


def named(text: str) -> Reference | None:
    """Return what a row's text refers to; None if it is the text itself. Old rows have "" and do not tell."""
    if text and text[0] != _NAMED:
        return None
    size, *chunks = _decode(text[1:]) if text else [OLD_SIZE]
    return Reference(size, chunks)


def pieces(text: str) -> Iterator[str]:
    """Divide a text; a character is one byte or, at worst, four."""
    most = CHUNK if text.isascii() else CHUNK // 4
    for start in range(0, len(text) or 1, most):
        yield text[start : start + most]


def places_apart(found: Sequence[Held]) -> list[int]:
    """Return the places of those whose payloads are kept apart."""
    return [place for place, held in enumerate(found) if not held.payload or held.payload[0] == _NAMED]


def may_name(rows: str) -> bool:
    """Whether among JSON rows that end with a payload there may be one that is kept apart; one look for hundreds."""
    return ',"#' in rows or ',""]' in rows


def claimable(found: list[Held]) -> list[Held]:
    """Return the first of the tasks, and those after it whose payloads fit into memory beside each other."""
    room = MOST_BYTES
    for place in places_apart(found):
        reference = named(found[place].payload)
        assert reference is not None
        room -= reference.size
        if place and room < 0:
            return found[:place]
    return found


def has_large(request: Request) -> bool:
    """Whether a request has a text that does not fit into a row."""
    texts = [submission.payload for submission in request.submits]
    texts += [change.value for change in request.changes if change.value is not None]
    return bool([None for text in texts if not (0 < len(text) <= LARGE and text[0] != _NAMED)])  # `fits` for thousands


def without_large(request: Request, keep: Callable[[str], str]) -> Request:
    """Return the request with each large text replaced by what `keep` returns for it."""
    submits = [
        submission if fits(submission.payload) else replace(submission, payload=keep(submission.payload))
        for submission in request.submits
    ]
    changes = [
        change if change.value is None or fits(change.value) else replace(change, value=keep(change.value))
        for change in request.changes
    ]
    return replace(request, submits=submits, changes=changes)


def chunks_named(request: Request, reply: Reply) -> list[int]:
    """Return the chunks that rows name, now that the request was carried out as the reply tells."""
    missed = {(miss.key, miss.claim) for miss in reply.misses}
    first = {submission.id: submission.payload for submission in reversed(request.submits)}  # of doubles it is stored
    texts = [payload for task_id, payload in first.items() if reply.submitted[task_id] == "created"]
    texts += [change.value for change in request.changes if change.value and (change.key, change.claim) not in missed]
    return [number for text in texts if (reference := named(text)) is not None for number in reference.chunks]
