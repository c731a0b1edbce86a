"""What a dead node held, given back; its processes are swept first."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from duly.core import lifecycle
from duly.core.action import Policy
from duly.engine.asking import Verb
from duly.engine.attempt import policy_of
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

    Whoever rescues speaks for the dead holder, with its claims: of two that try, one misses and changes nothing.
    """
    strays = sweep(dead.name)
    rescued = 0
    while tasks := (yield lambda store: store.held(dead.number, STEP)):
        changes = [
            lifecycle.rescue(task, policy_of(policy(task.lane), task.options), now(), random.random(), blamed=blamed)
            for task in tasks
        ]
        reply = yield Request(changes=changes)
        rescued += len(changes) - len(reply.misses)
    yield lambda store: store.leave(dead.number)
    log.warning(
        "node %d (%s) is gone: %d tasks given back, %d processes killed", dead.number, dead.label, rescued, strays
    )
    return rescued
