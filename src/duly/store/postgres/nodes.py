"""Nodes: who runs tasks, and for how long one that is silent is taken to live."""

from __future__ import annotations

import msgspec

from duly.core.task import Held
from duly.ports import NodeRow
from duly.store.postgres.large import Large
from duly.store.postgres.session import Statement

_held = msgspec.json.Decoder(list[Held]).decode


class Nodes(Large):
    """The verbs of the port that are about nodes.

    A node lives as long as it is heard of within its own lease, by the database's time. Who was not is given up for
    good: whatever it says from then on is refused.
    """

    def enlist(self, name: str, bell: str, label: str) -> int:
        """Make this process a node."""
        self._sweep()
        row = {"name": name, "bell": bell, "label": label, "lease": round(self.lease * 1e6)}
        (((number,),),) = self._transact(Statement("enlist", row))
        self._lives.add(number)
        return int(number)

    def dead(self) -> list[NodeRow]:
        """Return the nodes that live no more, also those that were silent for too long until now."""
        mine = list(self._lives)
        _, lost = self._transact(Statement("give_up", {"mine": mine}), Statement("dead", {"mine": mine}))
        return [NodeRow(*row) for row in lost]

    def living(self) -> list[int]:
        """Return the nodes that were heard of within their leases; gives nobody up, for which a right is needed."""
        return [number for (number,) in self._rows("living", mine=list(self._lives))]

    def held(self, node: int, most: int) -> list[Held]:
        """Return tasks that a node holds, without their payloads."""
        return _held(self._rows("held", node=node, most=most)[0][0])

    def leave(self, node: int) -> None:
        """Strike a node off; it stays, as one that lives no more, if it holds tasks."""
        self._lives.discard(node)
        self._transact(Statement("abandon", {"node": node}), Statement("leave", {"node": node}))

    def abandon(self, node: int) -> None:
        """Live no more as this node, which may still hold tasks."""
        self._lives.discard(node)
        self._transact(Statement("abandon", {"node": node}))
