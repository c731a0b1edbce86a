"""What a runner says where it has no descriptor left, by which large values travel: its task has taken them all.

Such an attempt comes to an error like any other, is tried again in another runner, and has an end.
"""

from __future__ import annotations

from msgspec.structs import replace

from duly.errors import ErrorData
from duly.runner.channel import INLINE, Channel
from duly.wire.runner import Done, Unheard, encode

MOST_BRIEF = 1_000
"""Letters of an error's message that are told in any case."""


def tell(channel: Channel, done: Done) -> None:
    """Send an answer, or if that is too large for what is left, why it is not told."""
    data = encode(done)
    if len(data) <= INLINE:  # nearly always
        channel.sock.send(data)
        return

    def instead() -> bytes:
        if done.error is None:
            why = f"no file descriptor was free to tell an answer of {len(data):,} bytes by"
            return encode(_error(done.key, done.claim, why))
        brief = ErrorData(type=done.error.type, message=done.error.message[:MOST_BRIEF])
        return encode(replace(done, value=None, error=brief, retire=True, children=None))

    channel.send_or(data, instead)


def tell_unheard(channel: Channel, work: Unheard) -> None:
    """Answer for what could not be received."""
    channel.sock.send(encode(_error(work.key, work.claim, "no file descriptor was free to receive the payload by")))


def _error(key: int, claim: int, message: str) -> Done:
    return Done(key, claim, 0, "raised", error=ErrorData(type="OSError", message=message), retire=True)
