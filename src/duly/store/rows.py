"""What all stores do with requests before they become rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from duly.ports import Rejection, Request

_encode = msgspec.json.encode


def with_children(request: Request) -> Request:
    """Return the request with the children among the submissions; one that is submitted anyway is no child."""
    submits = {submission.id: submission for submission in request.submits}
    children = [child for child in request.children if child.submission.id not in submits]
    submits |= {child.submission.id: child.submission for child in children}
    return msgspec.structs.replace(request, submits=list(submits.values()), children=children)


def text(rows: Sequence[object]) -> str:
    """Return rows as JSON text, or "" if there are none."""
    return _encode(rows).decode() if rows else ""


def only_submits(request: Request) -> bool:
    """Whether a request is nothing but tasks to be stored."""
    others = request.cancels or request.retries or request.changes or request.rejections
    return bool(request.submits) and request.node is None and not others


def folded(rejections: Sequence[Rejection]) -> list[Rejection]:
    """Return one rejection per task: a statement that joins with two rows for one would carry out one of them."""
    by_key: dict[int, Rejection] = {}
    for rejection in rejections:
        before = by_key[rejection.key].events if rejection.key in by_key else []
        by_key[rejection.key] = Rejection(rejection.key, rejection.claim, [*before, *rejection.events])
    return list(by_key.values())
