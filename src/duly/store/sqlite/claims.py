"""Claiming: what is chosen by the index becomes the node's, in two statements for each want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from duly.core.task import Held
from duly.ports import Want
from duly.store.apart import claimable, may_name

_encode = msgspec.json.encode
_held = msgspec.json.Decoder(list[Held]).decode


class Claimed(NamedTuple):
    """What was claimed, and whether the payload of any of it may be kept apart."""

    tasks: list[Held]
    apart: bool = False


def claim(run: Callable[..., Any], node: int, wants: Sequence[Want], *, suspects: bool) -> Claimed:
    """Claim what is wanted; `suspects` tells whether there are any. `run` carries out a query by its name."""
    claimed = Claimed([])
    for want in wants:
        if not want.suspect:
            query = "choose_cleanup" if want.cleanup else "choose"
            more = _claim(run, node, want, query, want.free + want.beyond)
            claimed = Claimed(claimed.tasks + more.tasks, claimed.apart or more.apart)
        elif suspects and not claimed.tasks and (suspect := _claim(run, node, want, "choose_suspect", 1)).tasks:
            return suspect
    return claimed


def _claim(run: Callable[..., Any], node: int, want: Want, query: str, most: int) -> Claimed:
    lanes = _encode(want.lanes).decode()
    keys, claims = run(query, lanes=lanes, most=most, cleanup=want.cleanup).fetchone() or ("[]", "[]")
    found = _held(claims)
    wanted, apart = want.taken(found), may_name(claims)
    if apart:
        wanted = claimable(wanted)
    if wanted:
        if len(wanted) < len(found):
            keys = _encode([held.key for held in wanted]).decode()
        run("claim", node=node, keys=keys)
    return Claimed(wanted, apart)
