"""The store port on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import apsw
import msgspec

from duly.core.lifecycle import CANCEL, Standing, cancelled_from, retry
from duly.core.task import ENDED, Change, Held, shown
from duly.errors import StoreError
from duly.ports import (
    Asked,
    Glance,
    Miss,
    Next,
    NodeRow,
    Reply,
    Request,
    Retried,
    Submission,
    Tally,
    Want,
)
from duly.store.apart import (
    chunks_named,
    has_large,
    places_apart,
    without_large,
)
from duly.store.rows import only_submits, text, with_children
from duly.store.sqlite import claims, lockfile
from duly.store.sqlite.connection import translated
from duly.store.sqlite.lanes import Lanes
from duly.store.sqlite.moving import Moving
from duly.store.sqlite.ripples import FileRipples
from duly.store.sqlite.rows import Batch, Rows, without_orphans

_encode = msgspec.json.encode
_asked = msgspec.json.Decoder(list[Asked]).decode
_due = msgspec.json.Decoder(tuple[int, str]).decode
_plan = _encode(CANCEL).decode()
_glances = msgspec.json.Decoder(list[Glance]).decode
_held = msgspec.json.Decoder(list[Held]).decode


class SqliteStore(Lanes, Moving):
    """The verbs of the port, on one file (or `:memory:`)."""

    lease = None

    def exchange(self, request: Request) -> Reply:
        """Do all of the request in one transaction, or nothing of it."""
        if request.children:
            request = with_children(request)
        large = has_large(request)
        if not large and only_submits(request):
            return self._submit_alone(request.submits)
        if large:
            self._sweep()
            request = without_large(request, self._keep_apart)
        rows, reply, ring = Rows(request), Reply(now=0), set(request.ring)
        # A claim alone need not reach the disk: if the machine dies, so does its node, and the task is ready again.
        apart = self._transact(lambda _: self._exchange(request, rows, reply, ring, large=large), durable=rows.any)
        # From here on it is done: who is told that the store is busy would do it again.
        if request.node is not None and not reply.claims:
            with suppress(apsw.Error):
                self._set_durable(durable=False)  # the next one will claim; who waits for that is spared 40 µs
        if not reply.done:
            return Reply(now=reply.now, done=False)
        if rows.events and self._lockfile is not None:
            self._lockfile.touch()
        if self._ringer is not None:
            self._ringer.ring(ring)
        if apart:
            self._read_payloads(reply.claims, places_apart(reply.claims))
        return reply

    def _exchange(self, request: Request, rows: Rows, reply: Reply, ring: set[str], *, large: bool) -> bool:
        """Do it, within a transaction; whether payloads of what was claimed may be kept apart."""
        assert self._connection is not None
        before = self._connection.total_changes()
        reply.now = self._clock()
        if request.changes:
            self._change(request.changes, rows.batch, reply)
        if rows.rejections:
            self._run("reject", rejections=rows.rejections)
            self._run("rejected", rejections=rows.rejections)
        if rows.cancels:
            self._cancel(rows.cancels, reply, ring)
        if rows.retries:
            self._retry(rows.retries, reply)
        if request.children and reply.misses:
            request = without_orphans(request, reply.misses)
            rows.submits = text(request.submits)
        if rows.submits:
            self._submit(request.submits, rows.submits, reply)
        if large:
            self._settle(chunks_named(request, reply))
        apart = request.node is not None and self._serve(request.node, request.wants, reply)
        if rows.submits or rows.cancels or rows.retries:
            ring.update(bell for (bell,) in self._run("bells", node=request.node))
        reply.counted = self._counted(request, reply, wrote=self._connection.total_changes() > before)
        return apart

    def _change(self, changes: list[Change], batch: Batch, reply: Reply) -> None:
        """Apply the changes that hit; the others are looked for only where the count says that there are any."""
        assert self._connection is not None
        if not self._applied(batch):
            self._connection.execute("rollback")
            self._connection.execute("begin immediate")
            missed = {row[0]: Miss(*row[1:]) for row in self._run("misses", changes=text(changes))}
            reply.misses = list(missed.values())
            batch = Batch([change for place, change in enumerate(changes) if place not in missed])
            if not self._applied(batch):
                raise StoreError(f"{self.path}: two changes of one claim in one request")
        if batch.told:
            self._run("history", told=batch.told)

    def _applied(self, batch: Batch) -> bool:
        """Apply changes; False if one did not hit."""
        assert self._connection is not None
        if batch.plain:
            self._run("success", changes=batch.plain)
            if self._connection.changes() != batch.plain_count:
                return False
        if batch.others:
            self._run("change", changes=batch.others)
            return self._connection.changes() == batch.others_count
        return True

    def _cancel(self, cancels: str, reply: Reply, ring: set[str]) -> None:
        """Cancel by the plan; whoever holds or waits for what is cancelled is rung."""
        events = []
        for key, task_id, state, verdict, owed, claim, attempt, seq, bell, reason in self._run(
            "cancel_found", cancels=cancels
        ).fetchall():
            step = cancelled_from(state, verdict, owed=bool(owed))
            if step is None:
                reply.cancelled[task_id] = "ended" if state in ENDED else "asked"
                continue
            reply.cancelled[task_id] = step.answer
            events.append([key, seq + 1, claim, attempt, text([[step.event, reply.now, {"reason": reason}]])])
            ring.add(bell)
        if events:
            self._run("cancel", cancels=cancels, plan=_plan, now=reply.now)
            self._run("event", rows=text(events))

    def _retry(self, retries: str, reply: Reply) -> None:
        """Release what may be tried again."""
        at = self._later_than_all(reply.now)
        releases, events = [], []
        for task_id, attempt, seq, *how in self._run("retry_found", ids=retries).fetchall():
            found = Standing(*how)
            release = retry(found, at)
            if release is not None:
                releases.append(release)
                events.append([found.key, seq + 1, found.claim, attempt, text(release.events)])
            state = shown(found.state, found.verdict) if release is None else shown(release.state, None)
            reply.retried[task_id] = Retried(release is not None, state)
        if releases:
            self._run("retry", releases=text(releases))
            self._run("event", rows=text(events))

    def _later_than_all(self, now: int) -> int:
        """Return now, or a moment later than that of any task: the clock may have been set back."""
        last = self._run("last_submitted").fetchone()
        return max(now, last[0] + 1) if last else now

    def _submit(self, submits: list[Submission], rows: str, reply: Reply) -> None:
        """Store tasks."""
        assert self._connection is not None
        self._run("submit", submits=rows, now=reply.now)
        created = self._connection.changes()
        reply.submitted.update(dict.fromkeys([submission.id for submission in submits], "created"))
        if created != len(submits):
            reply.submitted.update(self._answers(rows, created))

    def _answers(self, rows: str, created: int) -> dict[str, str]:
        """Tell what was stored now from what was known: their moments follow each other, and are the latest of all."""
        stored = self._run("existing", submits=rows).fetchall()
        stamp = max(first for _, first in stored) if created else None
        new = {task_id for task_id, first in stored if first == stamp}
        return {task_id: "created" if task_id in new else "existing" for task_id, _ in stored}

    def _submit_alone(self, submits: list[Submission]) -> Reply:
        """Store tasks in one statement that returns nothing: nobody waits for this process to come to its next step."""
        reply = Reply(now=self._clock())
        if len(submits) == 1:
            fields = msgspec.structs.asdict(submits[0])
            reply.submitted = {submits[0].id: self._write(lambda _: self._submit_one(reply.now, fields))}
        else:
            rows = text(submits)
            self._write(lambda _: self._submit(submits, rows, reply))
        self._ring_nodes()
        return reply

    def _submit_one(self, now: int, fields: dict[str, Any]) -> str:
        assert self._connection is not None
        self._run("submit_one", now=now, **fields)
        return "created" if self._connection.changes() else "existing"

    def _serve(self, node: int, wants: list[Want], reply: Reply) -> bool:
        """What only a node asks for: whom it is to stop, when to look again, what it claims; see `Claimed.apart`."""
        suspects = self._look(node, reply)
        if reply.next is not None and reply.next.at <= reply.now:
            self._run("due", now=reply.now)
            suspects = self._look(node, reply)
        if not wants:
            return False
        reply.claims, apart = claims.claim(self._run, node, wants, suspects=suspects)
        return apart

    def _look(self, node: int, reply: Reply) -> bool:
        """Fill in what is known without a claim; whether there are suspects."""
        asked, due, reply.lanes_version, suspects = self._run("look", node=node).fetchone()
        reply.asked = _asked(asked)
        reply.next = Next(*_due(due), "due") if due else None
        return bool(suspects)

    def _counted(self, request: Request, reply: Reply, *, wrote: bool) -> bool:
        """Count a node's exchange if anything was written; what wrote nothing is not committed."""
        assert self._connection is not None
        if not wrote:
            self._connection.execute("rollback")
            return False
        if request.node is None:
            return False
        self._run("exchange", node=request.node, number=request.number)
        if self._connection.changes() != 1:
            self._connection.execute("rollback")
            reply.done = False
        return reply.done

    # reading
    def glance(self, ids: Sequence[str]) -> list[Glance]:
        """Return how these tasks stand, in no order; unknown ones are left out."""
        ((glances,),) = self._rows("glance", ids=_encode(ids).decode())
        return _glances(glances)

    def last_update(self, task_id: str) -> str | None:
        """Return what a task's latest update told, as JSON text."""
        rows = self._rows("last_update", id=task_id)
        return str(rows[0][0]) if rows else None

    def stats(self) -> list[Tally]:
        """Count all tasks, as of one moment."""
        tallies = [Tally(*row) for row in self._rows("stats")]
        return [tally._replace(asked=bool(tally.asked)) for tally in tallies]

    def ripples(self) -> FileRipples | None:
        """Return what feels others' writes, or None if one must look for them."""
        if isinstance(self._lockfile, lockfile.LockFile):
            with suppress(OSError, ImportError):
                return FileRipples(self._lockfile.path)
        return None

    def version(self) -> int:
        """Return a number that is another one after another connection has written."""
        connection = self._connected()
        with translated(self.path, connection):
            # Not Connection.data_version(): that looks at the file only when something else is read.
            ((version,),) = connection.execute("pragma data_version").fetchall()
            assert isinstance(version, int)
            return version

    # nodes
    def enlist(self, name: str, bell: str, label: str) -> int:
        """Make this process a node; its byte of the side file is taken before anybody can see it."""
        self._sweep()
        taken: list[int] = []
        try:
            self._transact(lambda _: self._enlist(taken, name, bell, label))
        except BaseException:
            for number in taken:
                self.abandon(number)
            raise
        assert self._lockfile is not None
        self._lockfile.changed()
        return taken[0]

    def _enlist(self, taken: list[int], name: str, bell: str, label: str) -> None:
        (number,) = self._run("next_node").fetchone() or (1,)
        while self._lockfile is not None and not self._lockfile.live(number):
            number += 1  # somebody lives on with a file that was here before
        taken.append(number)
        self._run("enlist", number=number, name=name, bell=bell, label=label, now=self._clock())

    def dead(self) -> list[NodeRow]:
        """Return the nodes whose byte nobody holds."""
        if self._lockfile is None:
            return []
        return [node for node in self.nodes() if not self._lockfile.lives(node.number)]

    def living(self) -> list[int]:
        """Return the numbers of the others."""
        dead = self.dead()
        return [node.number for node in self.nodes() if node not in dead]

    def held(self, node: int, most: int) -> list[Held]:
        """Return tasks that a node holds, without their payloads."""
        rows = self._rows("held", node=node, most=most)
        return _held(rows[0][0]) if rows else []

    def leave(self, node: int) -> None:
        """Strike a node off."""
        self._transact(lambda _: self._run("leave", node=node))
        if self._lockfile is not None:
            self._lockfile.changed()
            self._lockfile.die(node)

    def abandon(self, node: int) -> None:
        """Live no more as this node, which may still hold tasks."""
        if self._lockfile is not None:
            self._lockfile.die(node)
