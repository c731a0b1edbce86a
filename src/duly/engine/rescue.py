"""What a dead node held, given back; its processes are swept first."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.task import Change
from duly.engine.asking import Verb
from duly.engine.attempt import policy_of
from duly.engine.storethread import BUSY_IN_A_ROW
from duly.errors import StoreBusy
from duly.ports import NodeRow, Request

log = logging.getLogger("duly.node")

STEP = 1_000
"""Tasks rescued in one transaction."""


def rescue(
    dead: NodeRow,
    *,
    sweep: Callable[[str], int],
    policy: Callable[[int], Policy],
    now: Callable[[], int],
    blamed: bool = True,
) -> Verb[int]:
    """Give back all that a dead node held, and strike it off; return how many tasks that were.

    Whoever rescues speaks for the dead holder, with its claims: of two that try, one misses and changes nothing. Raises
    `StoreBusy` if others hold some of it, when all else is given back; the node stays then, for another try.
    """
    strays = sweep(dead.name)
    rescued = 0
    while tasks := (yield lambda store: store.held(dead.number, STEP)):
        changes = [
            lifecycle.rescue(task, policy_of(policy(task.lane), task.options), now(), random.random(), blamed=blamed)
            for task in tasks
        ]
        rescued += yield from _give_back(changes)
    yield lambda store: store.leave(dead.number)
    log.warning(
        "node %d (%s) is gone: %d tasks given back, %d processes killed", dead.number, dead.label, rescued, strays
    )
    return rescued


def _give_back(changes: list[Change]) -> Verb[int]:
    """Give tasks back, together if nobody holds any; return how many that were, without what missed."""
    try:
        reply = yield Request(changes=changes)
    except StoreBusy:
        if len(changes) == 1:
            raise
        return (yield from _give_back_apart(changes))
    return len(changes) - len(reply.misses)


def _give_back_apart(changes: list[Change]) -> Verb[int]:
    """Give back what others do not hold, one by one; each time in another order, since it may end before the last."""
    given, in_a_row, held = 0, 0, None
    for change in random.sample(changes, len(changes)):
        try:
            reply = yield Request(changes=[change])
        except StoreBusy as error:
            held, in_a_row = error, in_a_row + 1
            if in_a_row == BUSY_IN_A_ROW:
                raise
        else:
            given, in_a_row = given + 1 - len(reply.misses), 0
    if held is not None:
        raise held
    return given
