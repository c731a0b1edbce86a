"""One exchange: the statements that a request becomes, all sent at once, and the reply that their rows become.

No statement waits for what Python makes of another's rows. What did not hit is left out by the statements that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from duly.core.lifecycle import CANCEL
from duly.core.order import BACK_BASE
from duly.core.task import Held, Release, State, shown
from duly.ports import Asked, Next, Reply, Request, Retried, Want
from duly.store.apart import MOST_BYTES, named
from duly.store.postgres.floors import Floors
from duly.store.postgres.rows import Batch, late, parents, released
from duly.store.postgres.session import Statement
from duly.store.postgres.wire import Row
from duly.store.rows import text

MAY_NAME = '"#['
"""Is in the text of claims if a payload of theirs is kept apart, and hardly ever else."""

_asked = msgspec.json.Decoder(list[Asked]).decode
_due = msgspec.json.Decoder(tuple[int, str]).decode
_first = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
_held = msgspec.json.Decoder(list[Held]).decode
_plan = msgspec.json.encode(CANCEL).decode()

_NO_FLOORS = Floors()


class Exchange:
    """A request on its way. `releases` are those of its retries, by the ids of their tasks.

    `missed` are the (key, claim) of changes, and `unreleased` the keys of releases, that did not hit. `apart`
    tells whether payloads of what was claimed may be kept apart. Of the bells to `ring` those that are known before are
    `rung` with it.
    """

    def __init__(
        self, request: Request, releases: dict[str, Release], floors: Floors, rung: list[str], *, large: bool
    ) -> None:
        self.request = request
        self._floors = floors
        self.releases = releases
        self.reply = Reply(now=0)
        self.rung = rung
        self.ring = set(rung)
        self.missed: list[tuple[int, int]] = []
        self.unreleased: set[int] = set()
        self.first: list[tuple[int, int, int]] = []
        self.again = self.apart = False
        self.says = not request.empty()
        self._readers: list[Callable[[list[Row]], None]] = []
        self.statements: list[Statement] = []
        self._write(large=large)

    def _add(self, query: str, read: Callable[[list[Row]], None] | None = None, /, **bindings: Any) -> None:
        self.statements.append(Statement(query, bindings))
        self._readers.append(read or _ignore)

    def read(self, answers: Sequence[list[Row]]) -> None:
        """Take in the rows of all statements."""
        for read, rows in zip(self._readers, answers, strict=True):
            read(rows)
        self.reply.counted = self.request.node is not None and (self.says or bool(self.reply.claims))

    # what is sent
    def _write(self, *, large: bool) -> None:
        request = self.request
        if request.node is not None:
            self._add("exchange", node=request.node, number=request.number, counted=request.number - (not self.says))
        if request.changes:
            self._change(Batch(request.changes))
        if request.rejections:
            self._add("reject", rejections=late(request.rejections))
        if request.cancels:
            ids = [cancel.id for cancel in request.cancels]
            self._add("cancel", self._cancelled, cancels=text(request.cancels), plan=_plan)
            self._add("move", keys=[], ids=ids)
            self._add("ended", self._ended, ids=ids)
        if self.releases:
            rows = released(list(self.releases.values()))
            self._add("revive", releases=rows)
            self._add("retry", self._retried, releases=rows)
        if request.submits:
            self._submit()
        if large:
            self._add("settle", rows=text(list(self._apart())))
        if request.node is not None:
            self._serve(request.node)
        elif not request.submits:
            self._add("now", self._told)

    def _change(self, batch: Batch) -> None:
        if batch.plain:
            self._add("success", self._miss, changes=batch.plain)
        if batch.others:
            self._add("change", self._miss, changes=batch.others)
        if batch.over:
            self._add("move", keys=batch.over, ids=[])

    def _submit(self) -> None:
        submits = self.request.submits
        ids = [submission.id for submission in submits]
        self.reply.submitted = dict.fromkeys(ids, "created")
        written = {"submits": text(submits), "parents": parents(self.request.children), "careful": False}
        self._add("submit", self._unsubmitted, **written)
        self._add("known", self._known, ids=ids)

    def _apart(self) -> Iterator[tuple[str | None, int | None, str]]:
        """The rows that name what was kept apart: (id of a submission, key of a change, text)."""
        for submission in self.request.submits:
            if named(submission.payload) is not None:
                yield submission.id, None, submission.payload
        for change in self.request.changes:
            if change.value is not None and named(change.value) is not None:
                yield None, change.key, change.value

    def _serve(self, node: int) -> None:
        """What only a node asks for: what is due, what it claims, whom it is to stop, when to look again."""
        number, wants = self.request.number, self.request.wants
        self._add("due")  # also if nothing is wanted: the same date that has come would be told again at once
        after_suspect = False
        for want in wants:
            floors, read = (_NO_FLOORS, self._claimed) if want.suspect or want.cleanup else (self._floors, self._found)
            bindings = _wanted(want, node, number, after_suspect=after_suspect)
            self._add(_query(want), read, **floors.ranges(want.lanes), **bindings)
            after_suspect = after_suspect or want.suspect
        if wants and not self.says:
            self._add("count_claims", node=node, number=number)
        self._add("look", self.looked, node=node)

    # what is answered
    def _miss(self, rows: list[Row]) -> None:
        self.missed += [(key, claim) for key, claim in rows]

    def _cancelled(self, rows: list[Row]) -> None:
        for task_id, answer, bell in rows:
            self.reply.cancelled[task_id] = answer
            if bell:
                self.ring.add(bell)

    def _ended(self, rows: list[Row]) -> None:
        """What has ended before; of an exchange that is repeated, what it has cancelled itself."""
        asked = {cancel.id: cancel for cancel in self.request.cancels}
        for task_id, state, reason in rows:
            by_this = self.again and state == State.CANCELLED and reason == asked[task_id].reason
            if asked[task_id].only is None or by_this:
                self.reply.cancelled.setdefault(task_id, "cancelled" if by_this else "ended")

    def _retried(self, rows: list[Row]) -> None:
        hit = {key for (key,) in rows}
        for task_id, release in self.releases.items():
            if release.key in hit:
                self.reply.retried[task_id] = Retried(True, shown(release.state, None))
            else:
                self.unreleased.add(release.key)

    def _unsubmitted(self, rows: list[Row]) -> None:
        for task_id, wanted in rows:
            if wanted:
                self.reply.submitted[task_id] = "existing"
            else:
                del self.reply.submitted[task_id]

    def _known(self, rows: list[Row]) -> None:
        ((self.reply.now, known),) = rows
        self.reply.submitted.update(dict.fromkeys(known, "existing"))

    def _claimed(self, rows: list[Row]) -> None:
        ((claims, _),) = rows
        self.reply.claims += _held(claims)
        self.apart = self.apart or MAY_NAME in claims

    def _found(self, rows: list[Row]) -> None:
        """What was claimed, and what came first of what is ready."""
        self._claimed(rows)
        self.first += _first(rows[0][1])

    def looked(self, rows: list[Row]) -> None:
        """Take in what a node is to know."""
        ((self.reply.now, asked, due, self.reply.lanes_version),) = rows
        self.reply.asked = _asked(asked) if asked else []
        self.reply.next = Next(*_due(due), "due") if due else None

    def _told(self, rows: list[Row]) -> None:
        ((self.reply.now,),) = rows


def _query(want: Want) -> str:
    return "claim" + ("_suspect" if want.suspect else "") + ("_cleanup" if want.cleanup else "")


def _wanted(want: Want, node: int, number: int, *, after_suspect: bool) -> dict[str, Any]:
    worst_band, worst_rank = want.worst or (None, None)
    bindings = {
        "most": 1 if want.suspect else want.free + want.beyond,
        "free": 1 if want.suspect else want.free,
        "worst_band": worst_band,
        "worst_rank": worst_rank,
        "most_bytes": MOST_BYTES,
        "back": BACK_BASE,
        "node": node,
        "number": number,
    }
    return bindings if want.suspect else {**bindings, "after_suspect": after_suspect}


def _ignore(_rows: list[Row]) -> None:
    """Of some statements nothing is to be heard but that they were carried out."""
