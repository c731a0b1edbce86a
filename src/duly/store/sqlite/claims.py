"""Claiming: what is chosen by the index becomes the node's, in two statements for each want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from duly.core.task import Held
from duly.ports import Want
from duly.store.apart import claimable

_encode = msgspec.json.encode
_held = msgspec.json.Decoder(list[Held]).decode


def claim(run: Callable[..., Any], node: int, wants: Sequence[Want], *, suspects: bool) -> list[Held]:
    """Claim what is wanted; `suspects` tells whether there are any. `run` carries out a query by its name."""
    claimed: list[Held] = []
    for want in wants:
        if not want.suspect:
            query = "choose_cleanup" if want.cleanup else "choose"
            claimed += _claim(run, node, want, query, want.free + want.beyond)
        elif suspects and not claimed and (suspect := _claim(run, node, want, "choose_suspect", 1)):
            return suspect
    return claimed


def _claim(run: Callable[..., Any], node: int, want: Want, query: str, most: int) -> list[Held]:
    lanes = _encode(want.lanes).decode()
    keys, claims = run(query, lanes=lanes, most=most, cleanup=want.cleanup).fetchone() or ("[]", "[]")
    found = _held(claims)
    wanted = [held for place, held in enumerate(found) if want.suspect or want.takes(place, held)]
    wanted = claimable(wanted)
    if wanted:
        if len(wanted) < len(found):
            keys = _encode([held.key for held in wanted]).decode()
        run("claim", node=node, keys=keys)
    return wanted
