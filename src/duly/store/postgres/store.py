"""The store port on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import psycopg

from duly.core.lifecycle import Standing, retry
from duly.core.task import Change, Held, Release, State, shown
from duly.ports import Miss, Reply, Request, Retried
from duly.store.apart import has_large, places_apart, without_large
from duly.store.postgres.bell import ServerBell, ripples_of
from duly.store.postgres.connection import Connection
from duly.store.postgres.exchange import MAY_NAME, Exchange
from duly.store.postgres.floors import Floors
from duly.store.postgres.lanes import Lanes
from duly.store.postgres.moving import Moving
from duly.store.postgres.nodes import Nodes
from duly.store.postgres.reading import Reading
from duly.store.postgres.rows import events_of
from duly.store.postgres.session import Statement
from duly.store.postgres.trouble import REFUSED, Refused
from duly.store.postgres.wire import Row
from duly.store.rows import only_submits, with_children

_events = msgspec.json.Decoder(list[tuple[str, int, msgspec.Raw]]).decode
_held = msgspec.json.Decoder(list[Held]).decode

SWEPT = "swept"
"""What a transaction is refused for that names what is not kept apart any more."""

TRIES = 5
"""How often what is kept apart is written at most, where each time a server is killed meanwhile."""


class PostgresStore(Reading, Lanes, Nodes, Moving):
    """The verbs of the port, on one schema of one database.

    A connection that breaks is made anew; so an exchange may be carried out though its answer is lost. `_unsure` has
    the numbers of such, by node: sent again, one is answered as it was carried out, or carried out now. `_shaken`
    tells that the last exchange was not answered.
    """

    _shaken = False

    def __init__(self, conninfo: str, schema: str = "duly", *, lease: float = 30.0, allow_unsafe: bool = False) -> None:
        super().__init__(conninfo, schema, lease=lease, allow_unsafe=allow_unsafe)
        self._floors = Floors()

    def exchange(self, request: Request) -> Reply:
        """Do all of the request in one transaction, or nothing of it."""
        if request.children:
            request = with_children(request)
        large = has_large(request)
        if not large and len(request.submits) == 1 and only_submits(request):
            return self._submit_alone(request)
        reply, releases = self._releases(request.retries) if request.retries else (Reply(now=0), {})
        rung = self._ringer.after(request)
        exchange, done = (self._sent_large if large else self._sent)(request, releases, rung)
        if done is None:
            return Reply(now=self.now(), done=False)
        if done:
            self._hear(exchange.reply.now)
            if request.wants:
                self._floors.found(exchange.first, exchange.reply.now)
        reply = self._finished(exchange, reply.retried) if done else self._as_it_was(exchange, reply.retried)
        if exchange.apart:
            reply.anew |= self._read_payloads(reply.claims, places_apart(reply.claims))
        self._ring(list(exchange.ring - set(exchange.rung if done else ())))
        if exchange.says or request.wants:  # else another one of this number may be unsure
            self._unsure.pop(request.node or 0, None)  # not before: what is read after the commit is part of it
        return reply

    def _sent(
        self, request: Request, releases: dict[str, Release], rung: list[str], *, large: bool = False
    ) -> tuple[Exchange, bool | None]:
        if request.wants:
            self._floors.begin(self.now())
        exchange = Exchange(request, releases, self._floors, rung, large=large)
        return exchange, self._send(exchange) if request.node is None else self._send_numbered(exchange)

    def _sent_large(
        self, request: Request, releases: dict[str, Release], rung: list[str]
    ) -> tuple[Exchange, bool | None]:
        """Send it after what is too large for a row; and that once more, if a server that was killed has lost it."""
        self._sweep()
        tries, shaken = TRIES, self._shaken
        while True:
            try:
                return self._sent(without_large(request, self._keep_apart), releases, rung, large=True)
            except Refused as error:
                tries -= 1
                if not tries or SWEPT not in str(error):
                    raise
                self._shaken = shaken  # nothing of it was done

    def ripples(self) -> ServerBell | None:
        """Return what feels others' writes, or None if one must look for them."""
        with suppress(OSError):  # no descriptor is left, say
            return ripples_of(self.address)
        return None

    def _submit_alone(self, request: Request) -> Reply:
        """Store one task by one statement, and so in a third of the time."""
        (submission,) = request.submits
        fields, ring = msgspec.structs.asdict(submission), self._ringer.after(request)
        fields["patience"] = self._lock_patience()

        def once(connection: Connection, _again: bool) -> int | None:
            ((created,),) = self._call(connection, "submit_one", fields, ring)
            return None if created is None else self._hear(created)

        created = self._insist(once)
        now = self.now() if created is None else created
        return Reply(now=now, submitted={submission.id: "created" if created is not None else "existing"})

    def _send(self, exchange: Exchange) -> bool:
        """Carry it out, again if need be: all that it says is done at most once by ids and claims."""
        shaken, self._shaken = self._shaken, True

        def once(connection: Connection, again: bool) -> None:
            exchange.again = again or shaken
            exchange.read(self._carry_out(connection, exchange.statements, ring=exchange.rung))

        self._insist(once)
        self._shaken = False
        return True

    def _send_numbered(self, exchange: Exchange) -> bool | None:
        """Carry out a node's; False if it was carried out before, None if the node was given up."""
        node, number = exchange.request.node or 0, exchange.request.number
        unsure = self._unsure.get(node) == number
        self._unsure[node] = number
        shaken, self._shaken = self._shaken, True

        def once(connection: Connection, again: bool) -> bool | None:
            exchange.again = again or shaken
            try:
                answers = self._carry_out(connection, exchange.statements, ring=exchange.rung)
            except psycopg.errors.Error as error:
                if error.sqlstate != REFUSED or "given up" not in str(error):
                    raise
                connection.rollback()
                return False if (again or unsure) and self._counted(connection, node, number) else None
            exchange.read(answers)
            return True

        done = self._insist(once)
        self._shaken = False
        return done

    def _counted(self, connection: Connection, node: int, number: int) -> bool:
        rows = self._ask(connection, "counted", {"node": node})
        return bool(rows and rows[0][0] == number)

    # what came of it
    def _finished(self, exchange: Exchange, refused: dict[str, Retried]) -> Reply:
        """Fill in what is rare and so is read apart: how those stand that a change missed, and what raced with it."""
        reply = exchange.reply
        reply.retried |= refused
        if exchange.missed:
            standing = self._standing([key for key, _ in exchange.missed])
            reply.misses = [Miss(key, claim, *standing.get(key, (None, None, None))) for key, claim in exchange.missed]
        self._once_more(exchange)
        return reply

    def _once_more(self, exchange: Exchange) -> None:
        """Retry anew what stands otherwise by now, and cancel what was between two tables just then."""
        retries = self._unreleased(exchange)
        lost = [
            cancel
            for cancel in exchange.request.cancels
            if cancel.only is None and cancel.id not in exchange.reply.cancelled
        ]
        if lost:
            there = {glance.id for glance in self.glance([cancel.id for cancel in lost])}
            lost = [cancel for cancel in lost if cancel.id in there]
        if retries or lost:
            further = self.exchange(Request(retries=retries, cancels=lost))
            exchange.reply.retried |= further.retried
            exchange.reply.cancelled |= further.cancelled

    def _unreleased(self, exchange: Exchange) -> list[str]:
        """The ids of tasks whose releases did not hit; one that did before its answer was lost is answered."""
        releases = {task_id: one for task_id, one in exchange.releases.items() if one.key in exchange.unreleased}
        if not releases:
            return []
        done = {key for (key,) in self._rows("released", releases=events_of(list(releases.values())))}
        for task_id, release in releases.items():
            if release.key in done:
                exchange.reply.retried[task_id] = Retried(True, shown(release.state, None))
        return [task_id for task_id, release in releases.items() if release.key not in done]

    def _as_it_was(self, exchange: Exchange, refused: dict[str, Retried]) -> Reply:
        """Answer what was carried out before: a node says the same again under the same number, others may say more."""
        request, reply = exchange.request, exchange.reply
        node, number = request.node, request.number
        (claimed,), (look,) = self._transact(
            Statement("claimed", {"node": node, "number": number}), Statement("look", {"node": node})
        )
        exchange.reply = reply = Reply(now=0, anew=True, counted=True, claims=_held(claimed[0]))
        exchange.apart = MAY_NAME in claimed[0]
        exchange.looked([look])
        self._hear(reply.now)
        standing = self._standing([change.key for change in request.changes])
        reply.misses = [
            Miss(change.key, change.claim, *stands)
            for change in request.changes
            if _missed(change, stands := standing.get(change.key, (None, None, None)))
        ]
        children = {child.submission.id for child in request.children}
        exchange.unreleased = {release.key for release in exchange.releases.values()}
        self._shaken = True  # what follows may have been done before, too
        rest = self.exchange(
            Request(
                submits=[one for one in request.submits if one.id not in children],
                cancels=request.cancels,
                retries=self._unreleased(exchange),
            )
        )
        reply.submitted, reply.cancelled = rest.submitted, rest.cancelled
        reply.retried |= refused | rest.retried
        return reply

    def _standing(self, keys: Sequence[int]) -> dict[int, Row]:
        return {key: tuple(stands) for key, *stands in self._rows("standing", keys=list(keys))} if keys else {}

    # retrying
    def _releases(self, ids: Sequence[str]) -> tuple[Reply, dict[str, Release]]:
        """What a retry makes of tasks as they stand; and the answers for those that it leaves alone.

        One that was released last may have been so by an exchange before this one, whose answer was lost.
        """
        reply, releases = Reply(now=0), {}
        for now, task_id, told, *how in self._rows("retry_found", ids=list(ids)):
            found = Standing(*how)
            release = retry(found, now)
            if release is None:
                before = self._shaken and told is not None and _events(told)[-1][0] == "release"
                reply.retried[task_id] = Retried(before, shown(found.state, found.verdict))
            else:
                releases[task_id] = release
        return reply, releases


def _missed(change: Change, stands: Sequence[Any]) -> bool:
    """Whether a change of a node that lives has missed: it is held under the same claim, and said to run no more."""
    state, claim, _ = stands
    return bool(state == State.RUNNING and claim == change.claim and change.state != State.RUNNING)
