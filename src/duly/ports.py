"""The seams of duly: what the engine asks of a store and of runners, in words that no database or system owns.

A store is synchronous and used by one thread. Its one verb for all that changes is `exchange`: one transaction that
finishes what ended, keeps what was said, submits, cancels, makes due tasks ready and claims what fits. The rest
reads, or is about nodes. Times are microseconds since 1970 by the store's clock.
"""

# long module: all the seams, and more words than code

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from duly.core.keeping import Aged, Keep
from duly.core.record import Move, Record
from duly.core.stopping import Rung
from duly.core.task import Change, Held
from duly.wire.runner import Answered, FromRunner, Problem, Setup, Work


class Lane(NamedTuple):
    """A queue, action and version as one small number: what a claim asks for."""

    number: int
    queue: str
    action: str
    version: int


class Submission(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task to be stored. Its rank is `base + sign * max(now, floor)`; `bell` is where its submitter can be rung.

    It is due at `run_at`, or a `delay` (microseconds) after it is stored.
    """

    id: str
    lane: int
    state: int
    band: int
    base: int
    sign: int
    floor: int
    run_at: int | None
    options: str | None
    payload: str
    origin: str
    bell: str
    delay: int | None = None


class Child(NamedTuple):
    """A task that an attempt submitted: it is stored if the change of this (key, claim) in the same request applies."""

    key: int
    claim: int
    submission: Submission


class CancelAsked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Somebody wants a task cancelled; with `only`, if it is in one of these states and has no verdict yet."""

    id: str
    reason: str
    only: tuple[int, ...] | None = None


class Want(NamedTuple):
    """What a node would like to claim: from these lanes, `free` at once and `beyond` more if they are more urgent.

    `worst` is the (band, rank) to be more urgent than. With `suspect` it is one suspect that is wanted, and alone:
    not if anything was claimed by a want before, and nothing is claimed by those that follow. With `cleanup` it is only
    what owes cleanup: that is claimed of paused lanes, too.
    """

    lanes: Sequence[int]
    free: int
    beyond: int = 0
    worst: tuple[int, int] | None = None
    suspect: bool = False
    cleanup: bool = False

    def taken(self, found: list[Held]) -> list[Held]:
        """Which it takes of what was found for it, at most `free + beyond` in the store's order, or one suspect."""
        if self.suspect or self.worst is None or len(found) <= self.free:
            return found
        beyond = [held for held in found[self.free :] if (held.band, held.rank) < self.worst]
        return found[: self.free] + beyond


class Rejection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A late answer, for the history alone: the only write that no claim guards."""

    key: int
    claim: int
    events: list[Any]


class Request(msgspec.Struct, kw_only=True):
    """One exchange. `number` counts the exchanges of a node, so that one whose answer was lost can be asked for.

    There is one change per (key, claim), one cancel and one retry per id. Each of the `children` goes with a change.
    `wants` are met in their order. `ring` holds the bells of submitters whose tasks end with this.
    """

    node: int | None = None
    number: int = 0
    changes: list[Change] = []
    rejections: list[Rejection] = []
    cancels: list[CancelAsked] = []
    retries: list[str] = []
    submits: list[Submission] = []
    children: list[Child] = []
    wants: list[Want] = []
    ring: set[str] = set()

    def empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.changes or self.rejections or self.cancels or self.retries or self.submits)


class Miss(NamedTuple):
    """A change that did not apply: how the task stands now (`state` None: it is gone)."""

    key: int
    claim: int
    state: int | None
    claim_now: int | None
    verdict: int | None


class Retried(NamedTuple):
    """What came of a retry: whether it was done, and the state the task is in now, as people see it."""

    done: bool
    state: str


class Asked(NamedTuple):
    """A task that this node holds is to end otherwise."""

    key: int
    claim: int
    verdict: int
    reason: str


class Next(NamedTuple):
    """What falls due next: when, which task, and what (`due`)."""

    at: int
    id: str
    what: str


class Reply(msgspec.Struct, kw_only=True):
    """What came of an exchange.

    By task id: `submitted` says created or existing, `cancelled` says cancelled, asked or ended, `retried` what came of
    that; unknown ones lack. `counted`: the node's next request has the next number (what wrote nothing is not counted).
    `done` is False if this node was given up, and nothing of the request was done: it must stop everything it runs and
    start anew. A number that was used before is answered so, too, by a store that answers each once; one whose answers
    can be lost on their way answers it `anew`, as well as that can be told by then. So does one that tells not all that
    was claimed: what the node holds is to be compared. `lanes_version` is another number after lanes or pauses have
    changed.
    """

    now: int
    done: bool = True
    anew: bool = False
    counted: bool = False
    submitted: dict[str, str] = {}
    cancelled: dict[str, str] = {}
    retried: dict[str, Retried] = {}
    misses: list[Miss] = []
    claims: list[Held] = []
    asked: list[Asked] = []
    next: Next | None = None
    lanes_version: int = 0


class TaskRow(NamedTuple):
    """A task as it is read: everything but its claim's secrets; JSON as text.

    A `payload` or `value` that is too large to be read along is "": see `Store.large`. With `seq` 0 it was emptied,
    some time after its end: all that is left are its id and how it ended.
    """

    key: int
    id: str
    queue: str
    action: str
    version: int
    state: int
    verdict: int | None
    cause: str | None
    reason: str | None
    band: int
    attempt: int
    deaths: int
    losses: int
    suspect: int
    submitted: int
    run_at: int | None
    started_at: int | None
    ended_at: int | None
    seq: int
    options: str | None
    payload: str
    origin: str
    info: str | None
    value: str | None
    error: str | None


Part: TypeAlias = Literal["payload", "value"]
"""What of a task may be large."""


UNKNOWN = -1
"""The state of a task that there is not."""


class Glance(NamedTuple):
    """How a task stands, for those who wait for it; `seq` is the number of its last event."""

    id: str
    state: int = UNKNOWN
    verdict: int | None = None
    seq: int = 0


class EventRow(NamedTuple):
    """A run of a task's events, numbered from `first`; `body` is a JSON array of (kind, at, data)."""

    first: int
    attempt: int
    body: str


class Filter(NamedTuple):
    """Which tasks to read: all that are given must hold."""

    states: tuple[int, ...] | None = None
    action: str | None = None
    queue: str | None = None
    since: int | None = None
    due_before: int | None = None


Paused: TypeAlias = Literal["queue", "action"]
"""What can be paused."""


class Pause(NamedTuple):
    """A queue or an action of which nothing is claimed, and since when."""

    kind: Paused
    name: str
    since: int


class NodeRow(NamedTuple):
    """A node that is enlisted."""

    number: int
    name: str
    bell: str
    started_at: int
    label: str


class Kept(NamedTuple):
    """For how many microseconds the ended tasks of an action are kept, and those that failed; None: for good."""

    action: str
    version: int
    keep: int | None
    keep_failed: int | None


class Inventory(NamedTuple):
    """What a store keeps beside tasks; its nodes without their bells."""

    lanes: list[Lane]
    pauses: list[Pause]
    keeping: list[Kept]
    nodes: list[NodeRow]


class Tally(NamedTuple):
    """How many tasks of a lane are in a state; `asked` ones are to end otherwise, `node` holds those that run.

    `since`: the earliest moment that one of them was ready, first began, or is due; None for those that ended.
    """

    queue: str
    action: str
    version: int
    state: int
    asked: bool
    node: int | None
    tasks: int
    since: int | None


class Finding(NamedTuple):
    """One thing that `duly doctor` says about a store."""

    what: str
    ok: bool
    text: str


class Copied(NamedTuple):
    """How far a backup is, in pages."""

    pages: int
    of: int


class Backup(NamedTuple):
    """A backup that was made: where it is, its size in bytes, and how many seconds it took."""

    path: str
    size: int
    seconds: float


class Step(NamedTuple):
    """A step of the store's schema; `applied_at` is None for one that is still to be taken."""

    number: int
    kind: str
    name: str
    applied_at: int | None


PATIENCE = 10.0
"""Seconds that a store waits for others."""


class Store(Protocol):
    """Where tasks are kept. Used by one thread; raises `StoreError` and nothing of its driver's.

    Whoever else holds it up is waited for `patience` seconds, before that is a `StoreBusy`, and so is the way to its
    server, before that is a `StoreAway`: then what was asked may or may not have been done, and may be asked again.
    A node lives as long as its process; or, where that cannot be told, until it was not heard for `lease` seconds.
    """

    patience: float

    @property
    def lease(self) -> float | None:
        """Seconds; None if nodes live as long as their processes. Each exchange of a node renews it."""

    def open(self) -> None:
        """Open it, made new or migrated if need be."""

    def close(self) -> None:
        """Let go of it; safe to call twice."""

    def let_go(self) -> None:
        """Keep nothing open that a forked child must not inherit; the next verb opens it again, and nodes live on."""

    def meanwhile(self, do: Callable[[], None]) -> bool:
        """Have this done, quickly, each time before an answer from afar is waited for; False if none ever is."""

    def now(self) -> int:
        """Return the time by the store's clock; from any thread, and at no cost worth naming."""

    def exchange(self, request: Request) -> Reply:
        """Do all of the request in one transaction, or nothing of it."""

    def lanes(self, wanted: Sequence[tuple[str, str, int]] = ()) -> list[Lane]:
        """Return all lanes, after adding those wanted: (queue, action, version)."""

    def pause(self, kind: Paused, name: str) -> bool:
        """Note that a queue or an action is paused, and ring all nodes; False if it was before.

        It need not be known: a lane that is added later is paused by its names, too.
        """

    def resume(self, kind: Paused, name: str) -> bool:
        """Note that it is paused no longer, and ring all nodes; False if it was not."""

    def pauses(self) -> list[Pause]:
        """Return what is paused. A change of that changes `Reply.lanes_version`."""

    def find(self, ids: Sequence[str]) -> list[TaskRow]:
        """Return the tasks with these ids, in no order; unknown ones are left out."""

    def large(self, key: int, what: Part) -> str:
        """Return a task's payload or value as JSON text, where `find` has "" for it; "" if it is gone."""

    def glance(self, ids: Sequence[str]) -> list[Glance]:
        """Return how these tasks stand, in no order; unknown ones are left out."""

    def tasks(self, wanted: Filter, by: str, after: tuple[int, int] | None, most: int) -> list[TaskRow]:
        """Return a page of tasks, `newest` first or by `date`; `after`: sort value and key of the last one seen.

        What may be large is left out: their `payload` is empty, their `value` None.
        """

    def events(self, task_id: str, after: int, most: int) -> list[EventRow]:
        """Return runs of a task's events that hold some numbered above `after`, in order."""

    def last_update(self, task_id: str) -> str | None:
        """Return what a task's latest update told, as JSON text."""

    def stats(self) -> list[Tally]:
        """Count all tasks, as of one moment; reads much, and keeps nobody from writing."""

    def ripples(self) -> Ripples | None:
        """Return what feels others' writes to histories from now on, or None if one must look for them."""

    def version(self) -> int:
        """Return a number that is another one after somebody else has written; it may change too often."""

    def enlist(self, name: str, bell: str, label: str) -> int:
        """Make this process a node, and return its number; asked again by the same name, it is the same node."""

    def check_age(self) -> None:
        """Raise `StoreTooNew` if a newer duly has contracted the store since it was opened."""

    def dead(self) -> list[NodeRow]:
        """Return the nodes that are enlisted and no longer live; never one that this store lives on as."""

    def nodes(self) -> list[NodeRow]:
        """Return all nodes that are enlisted."""

    def living(self) -> list[int]:
        """Return which of them live, as far as is seen by who only looks."""

    def held(self, node: int, most: int) -> list[Held]:
        """Return tasks that a node holds."""

    def leave(self, node: int) -> None:
        """Strike a node off, and live no more as it; it stays enlisted, as one that is dead, if it holds tasks."""

    def abandon(self, node: int) -> None:
        """Live no more as this node, which may still hold tasks: others will rescue them."""

    def examine(self) -> list[Finding]:
        """Look at the store's health; may read all of it."""

    def tidy(self, *, wanted: bool = True) -> bool:
        """Be the one who keeps this store in order, if nobody else is, or be it no more; returns whether one is it.

        It ends with the store's being closed, and with the process.
        """

    def keeping(self, told: Sequence[tuple[str, int, Keep]] = ()) -> dict[int, Keep]:
        """Return for how long the tasks of lanes are kept, after noting what is told: (action, version, keep)."""

    def survey(self, after: int, upto: int, most: int) -> list[Aged]:
        """Read what of tasks tells whether their time is over, with keys after one and up to another, in order."""

    def submitted(self) -> int:
        """Return how many tasks were ever submitted, those that were removed included."""

    def empty(self, tasks: Sequence[tuple[int, int]]) -> list[int]:
        """Take from tasks that ended at these moments, as (key, moment), all but their ids and how they ended.

        They are found by their ids alone from then on, with `seq` 0. Returns the chunks that nobody names any more.
        """

    def drop_history(self, keys: Sequence[int]) -> bool:
        """Delete some of the history of emptied tasks; whether there may be more of it."""

    def drop_chunks(self, chunks: Sequence[int]) -> None:
        """Delete what was kept of large values, which nobody names any more."""

    def remove(self, keys: Sequence[int]) -> int:
        """Remove emptied tasks that have no history left, and return how many; never the newest."""

    def moving(self) -> Move | None:
        """Return which move this store is part of."""

    def move(self, move: Move | None) -> None:
        """Have all that would write to lanes, nodes, tasks or pauses refused from now on (`StoreMoved`), or no more."""

    def inventory(self) -> Inventory:
        """Return all that is kept beside tasks, in order."""

    def dump(self, after: int, most: int) -> list[Record]:
        """Return the records with keys after one, in order: at most so many, and `MOST_BYTES` of text, but one.

        There is no U+0000 in them, which not every store can keep: in a reason, where there may be some, it is U+FFFD.
        """

    def load(self, records: Sequence[Record], inventory: Inventory | None = None) -> None:
        """Store records as they are, but for those there are, and put an inventory in the place of what there is.

        All in one transaction. Only a store takes them to which a move is coming; nobody else can write to it.
        Whatever numbers are given later are larger ones. Nodes are dead that come so.
        """


class Ripples(Protocol):
    """What feels that others have written. A ripple is a hint; who feels none polls.

    As with bells, who uses it calls `silence` at each poll, too: one that has broken mends itself then.
    """

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def silence(self) -> None:
        """Take in all ripples up to now."""

    def close(self) -> None:
        """Feel no more."""


class Bell(Protocol):
    """Where a process can be woken. A ring is a hint; who hears none polls.

    Who owns it calls `silence` at each poll, too: one that has broken mends itself then, without waiting for anybody.
    """

    address: str

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def silence(self) -> None:
        """Take in all rings up to now."""

    def close(self) -> None:
        """Be reachable no more."""


class Runner(Protocol):
    """A child process that runs attempts."""

    number: int

    def hand(self, work: Work) -> bool:
        """Hand over one attempt; False if its channel takes no more just now."""

    def answer(self, answered: Answered) -> None:
        """Answer what it asked; it may be gone."""

    def take_back(self) -> list[tuple[int, int]]:
        """Take back what was handed over and not read yet, as (key, claim)."""

    def running(self) -> tuple[int, int, int] | None:
        """Return (key, claim, nanoseconds of the monotonic clock when it began) of what runs now."""

    def memory(self, enough: int) -> int | None:
        """Return the bytes in use above its level when its task began, exact where above `enough`."""

    def climb(self, rung: Rung, key: int, claim: int, reason: str) -> None:
        """Ask this claim, or terminate or kill the process."""

    def stop_one(self, key: int, claim: int, reason: str) -> None:
        """Ask one of the many attempts that it runs at a time to stop."""

    def retire(self) -> None:
        """Let it end when it has done what it was handed."""

    def close(self) -> None:
        """Let go of what belonged to it, after its end."""


class Prepared(NamedTuple):
    """The user's code is imported: `problems` by target; `unshared`: what of it no fork may inherit, for people."""

    problems: list[Problem]
    unshared: list[str]


class Lost(NamedTuple):
    """The process that forks runners has ended, and all runners with it."""


class Born(NamedTuple):
    """A runner can be handed work."""

    runner: Runner


class NotBorn(NamedTuple):
    """The machine refused a runner."""

    runner: Runner
    reason: str


class Told(NamedTuple):
    """A runner said something."""

    runner: Runner
    messages: list[FromRunner]


class Printed(NamedTuple):
    """A runner printed something: which `task`, as (key, claim), and whether that is the last it prints."""

    runner: Runner
    data: bytes
    task: tuple[int, int] | None
    last: bool


class Ended(NamedTuple):
    """A runner has ended, been reaped, and so has everything its tasks had left behind."""

    runner: Runner
    signal: int | None
    exit_code: int | None


RunnerEvent: TypeAlias = Prepared | Lost | Born | NotBorn | Told | Printed | Ended


class Pool(Protocol):
    """Runners, and the process that forks them. One loop owns it."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def start(self, setup: Setup) -> None:
        """Begin to import the user's code; `Prepared` follows. Raises `RunnerUnavailable`."""

    def spawn(self) -> Runner:
        """Ask for a runner; `Born` or `NotBorn` follows. Raises `RunnerUnavailable`."""

    def events(self) -> list[RunnerEvent]:
        """Read what has happened."""

    def look(self, now: float) -> None:
        """See, about once a second, whether the process that forks runners still does; it is ended if not: `Lost`."""

    def sweep(self, node: str) -> int:
        """Kill what a dead node's tasks left behind; return how many processes that were."""

    def close(self) -> None:
        """End all; returns when they and what they started are gone."""
