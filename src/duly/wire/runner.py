"""What a supervisor, a zygote and its runners say to each other.

Every message is one packet of msgpack. Between supervisor and zygote: `Setup` and `Ready` once, then `Spawn` answered
by `Spawned` (with the runner's pidfd) or `NotSpawned`, and `Gone` when a runner and all it left behind have been
reaped. Between supervisor and runner: `Fit` once, if there is anything to set up; `Work`, answered by `Done`; in
between, as often as it likes, `Said`, and `Ask`, answered by `Answered` over a line of its own: what waits to be read
in the channel is in nobody's way there.

What a runner runs now, since when, and whether it is asked to stop, stands in a page of shared memory (`Mark`), so
that the supervisor knows it whatever the code does, and without a message per task.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec

from duly import errors
from duly.core.action import Isolation, Priority
from duly.core.passport import Passport
from duly.errors import DulyError, ErrorData


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a callable is found: a module by name, or by file (`main`: as the program's own `__main__`).

    `attribute` is a dotted path in it. `name` and `version` say which action it handles, "" for what handles none.
    `isolation` says whether its attempts run one after another, each in a process of its own, or many at a time.
    """

    module: str | None = None
    file: str | None = None
    attribute: str = "task"
    main: bool = False
    name: str = ""
    version: int = 1
    isolation: Isolation = "process"


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """First word to a zygote: what its runners will be asked to run.

    Without `preload` every runner imports for itself. To `perform` is to run one target with the caller's own output
    instead of an action's handler with a captured one. `most_bytes` bounds a payload and a result. `around` are the
    places of generators that run around a runner's life. A runner asks to be replaced after `recycle_tasks` tasks, or
    when it has grown by `recycle_growth` bytes.
    """

    targets: list[Target]
    preload: bool = True
    perform: bool = False
    most_bytes: int = 16 * 1024 * 1024
    around: list[int] = []
    recycle_tasks: int = 10_000
    recycle_growth: int = 256 * 1024 * 1024


class Problem(msgspec.Struct, frozen=True):
    """A target (by its place in `Setup.targets`) that cannot be used, and why."""

    target: int
    error: ErrorData
    found: bool = True


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The zygote can fork runners; if imports made what no fork may have (`unshared`), they import for themselves."""

    problems: list[Problem] = []
    unshared: list[str] = []


class Spawn(msgspec.Struct, frozen=True, tag="spawn"):
    """Fork a runner; with its channel, its mark and, if output is captured, its output pipe."""

    number: int


class Spawned(msgspec.Struct, frozen=True, tag="spawned"):
    """A runner was forked; its pidfd comes along."""

    number: int
    pid: int


class NotSpawned(msgspec.Struct, frozen=True, tag="not_spawned"):
    """The machine refused another process."""

    number: int
    reason: str


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """A runner has ended and been reaped, and so have `strays` processes that its tasks had left behind."""

    number: int
    signal: int | None
    exit_code: int | None
    strays: int = 0


ToZygote: TypeAlias = Setup | Spawn
FromZygote: TypeAlias = Ready | Spawned | NotSpawned | Gone


class Work(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """One attempt to run: `target` a place in `Setup.targets`, `payload` JSON text, `limit` seconds, `memory` bytes."""

    key: int
    claim: int
    target: int
    id: str = ""
    attempt: int = 1
    payload: str = "null"
    limit: float | None = None
    memory: int | None = None
    submitted: int = 0
    origin: str = ""
    options: str | None = None
    info: str | None = None


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Ask one of many attempts in a runner to stop; one that runs alone is asked by its mark and a signal."""

    key: int
    claim: int
    reason: str


class Unheard(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """What a runner understands in place of `Work` that is too large for it: it can hold no more descriptors."""

    key: int
    claim: int


ToRunner: TypeAlias = Work | Stop | Unheard


Kind = Literal["success", "failure", "snooze", "raised", "invalid", "memory", "stopped", "missing", "died", "refused"]


class Done(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """An attempt's answer. `kind` says which; `value` is JSON text, `until` microseconds of the runner's clock.

    `retire`: the runner is not to be used again, since something was left behind or it was asked to stop. `children`
    are the tasks it submitted, to be stored with its success. Of a fork that died, `status` is the exit code or the
    signal's number below 0; `refused`: the machine refused one.
    """

    key: int
    claim: int
    nanoseconds: int
    kind: Kind
    value: str | None = None
    error: ErrorData | None = None
    retry: bool = True
    until: int | None = None
    peak: int | None = None
    retire: bool = False
    children: list[Passport] | None = None
    status: int | None = None


class Said(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Something a running attempt tells: an `update` (JSON data) or its whole runtime `info` (JSON object)."""

    key: int
    claim: int
    kind: Literal["update", "info"]
    body: str
    name: str = ""


MOST_CHILDREN = 10_000
"""Tasks that an attempt may submit with its success."""

CHILDREN_BYTES = 4 * 1024 * 1024
"""What their passports may take beside payloads, which take together as much as one may."""


def most_packet(most_bytes: int) -> int:
    """The bytes of a packet: a value and children of the largest size, and some words."""
    return 2 * most_bytes + CHILDREN_BYTES + 1024 * 1024


class Declared(NamedTuple):
    """How an action is declared by the supervisor's App, or what is taken for one that is not."""

    version: int
    queue: str
    priority: Priority


class Question(NamedTuple):
    """What a handler wants of its supervisor: a verb, and its arguments in msgpack. The answer is msgpack, too."""

    verb: str
    body: bytes


UNHEARD = "unheard"
"""The verb that a supervisor understands in place of a question that is too large: it can hold no more descriptors."""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """A question of a running attempt, to be answered under its number."""

    key: int
    claim: int
    number: int
    verb: str
    body: bytes


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An error of duly's as data: its stable code, its message, and the plain ones of its attributes."""

    code: str
    message: str
    fields: dict[str, str | int | None] = {}

    @classmethod
    def of(cls, error: BaseException) -> Refused:
        """Return an error as data; one that is not duly's own is told by its name."""
        if not isinstance(error, DulyError):
            return cls(DulyError.code, f"{type(error).__name__}: {error}")
        plain = {name: value for name, value in vars(error).items() if isinstance(value, str | int | None)}
        return cls(error.code, str(error), plain)

    def error(self) -> DulyError:
        """Make the error again: one of duly's own by its code, never another class."""
        kind = _BY_CODE.get(self.code, DulyError)
        error = kind.__new__(kind, self.message)
        vars(error).update(self.fields)
        return error


_BY_CODE = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DulyError)}


class Answered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to an `Ask`, or why there is none."""

    number: int
    body: bytes = b""
    refused: Refused | None = None


class Fit(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """What runs around a runner's life has begun, or why it could not: then the runner ends."""

    error: ErrorData | None = None


FromRunner: TypeAlias = Done | Said | Ask | Fit

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_to_zygote = msgspec.msgpack.Decoder(ToZygote).decode
decode_from_zygote = msgspec.msgpack.Decoder(FromZygote).decode
decode_to_runner = msgspec.msgpack.Decoder(ToRunner).decode
decode_from_runner = msgspec.msgpack.Decoder(FromRunner).decode
decode_declared = msgspec.msgpack.Decoder(Declared).decode
decode_answered = msgspec.msgpack.Decoder(Answered).decode


class Mark:
    """The page a supervisor shares with one runner: eight 64-bit words.

    The runner writes what it runs (`KEY CLAIM SINCE BASE`), `KEY` last at the start and first at the end, so that a
    reader who finds a key finds the rest of it too; and which fork of it that runs in (`PROCESS`), if in one. The
    supervisor writes whom it asks to stop, and why.
    """

    SIZE = 4096
    KEY, CLAIM, SINCE, BASE, ASKED_KEY, ASKED_CLAIM, REASON, PROCESS = range(8)
    REASONS = ("", "cancel", "timeout", "drain")

    def __init__(self, page: memoryview) -> None:
        self._words = page.cast("q")

    # the runner's side
    def begin(self, key: int, claim: int, since: int) -> None:
        """Say what runs from now on; `since` in nanoseconds of the monotonic clock."""
        words = self._words
        words[self.CLAIM] = claim
        words[self.SINCE] = since
        words[self.BASE] = -1
        words[self.KEY] = key

    def end(self) -> None:
        """Say that nothing runs."""
        self._words[self.KEY] = 0

    def be(self, pid: int) -> None:
        """Say which fork of the runner runs what runs now; 0 for none."""
        self._words[self.PROCESS] = pid

    def set_base(self, size: int) -> None:
        """Say how many bytes the runner itself held when its task began."""
        self._words[self.BASE] = size

    def asked(self, key: int, claim: int) -> str:
        """Return why this claim is asked to stop, or "" if it is not."""
        words = self._words
        if words[self.ASKED_KEY] != key or words[self.ASKED_CLAIM] != claim:
            return ""
        return self.REASONS[words[self.REASON]]

    # the supervisor's side
    def process(self) -> int:
        """Return which fork of the runner runs what runs now, or 0."""
        return self._words[self.PROCESS]

    def running(self) -> tuple[int, int, int] | None:
        """Return (key, claim, since) of what runs, or None."""
        words = self._words
        key = words[self.KEY]
        return (key, words[self.CLAIM], words[self.SINCE]) if key else None

    def base(self) -> int | None:
        """Return the bytes held when the task began, once they are known."""
        size = self._words[self.BASE]
        return size if size >= 0 else None

    def ask(self, key: int, claim: int, reason: str) -> None:
        """Ask this claim, and no other, to stop."""
        words = self._words
        words[self.REASON] = self.REASONS.index(reason)
        words[self.ASKED_CLAIM] = claim
        words[self.ASKED_KEY] = key

    def close(self) -> None:
        """Let go of the page."""
        self._words.release()
