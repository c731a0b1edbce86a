"""Claiming: what is chosen by the index becomes the node's, in two statements for each want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from duly.core.task import Held
from duly.ports import Want
from duly.store.sqlite.rows import APART

MOST_BYTES = 64 * 1024 * 1024
"""Large payloads that are claimed in one exchange, all in all; a single one may be as large as it is."""

_encode = msgspec.json.encode
_held = msgspec.json.Decoder(list[Held]).decode


def claim(run: Callable[..., Any], node: int, wants: Sequence[Want], *, suspects: bool) -> list[Held]:
    """Claim what is wanted; `suspects` tells whether there are any. `run` carries out a query by its name."""
    claimed: list[Held] = []
    for want in wants:
        if not want.suspect:
            claimed += _claim(run, node, want, "choose", want.free + want.beyond)
        elif suspects and not claimed and (suspect := _claim(run, node, want, "choose_suspect", 1)):
            return suspect
    return claimed


def _claim(run: Callable[..., Any], node: int, want: Want, query: str, most: int) -> list[Held]:
    keys, claims = run(query, lanes=_encode(want.lanes).decode(), most=most).fetchone() or ("[]", "[]")
    found = _held(claims)
    wanted = [held for place, held in enumerate(found) if want.suspect or want.takes(place, held)]
    if any(held.payload == APART for held in wanted):
        wanted = _with_payloads(run, wanted)
    if wanted:
        if len(wanted) < len(found):
            keys = _encode([held.key for held in wanted]).decode()
        run("claim", node=node, keys=keys)
    return wanted


def _with_payloads(run: Callable[..., Any], found: list[Held]) -> list[Held]:
    """Fill in the payloads that are kept apart; the first of the tasks, and what fits into memory beside it."""
    keys = _encode([held.key for held in found]).decode()
    sizes = dict(run("large_sizes", keys=keys).fetchall())
    filled: list[Held] = []
    room = MOST_BYTES
    for held in found:
        room -= sizes.get(held.key, 0)
        if filled and room < 0:
            break
        if held.payload == APART:
            (payload,) = run("large", key=held.key).fetchone() or (APART,)  # none: somebody else wrote the row
            filled.append(msgspec.structs.replace(held, payload=payload))
        else:
            filled.append(held)
    return filled
