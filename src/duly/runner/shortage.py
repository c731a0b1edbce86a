"""What a runner says where it has no descriptor left, by which large values travel: its task has taken them all.

Such an attempt comes to an error like any other, is tried again in another runner, and has an end.
"""

from __future__ import annotations

from duly.errors import ErrorData
from duly.runner.channel import INLINE, Channel
from duly.wire.runner import Done, Unheard, encode


def tell(channel: Channel, done: Done) -> None:
    """Send an answer, or if that is too large for what is left, why it is not told."""
    data = encode(done)
    if len(data) <= INLINE:  # nearly always
        channel.sock.send(data)
        return

    def instead() -> bytes:
        size = len(done.value or "")
        return encode(
            _error(done.key, done.claim, f"no file descriptor was free to tell a result of {size:,} bytes by")
        )

    channel.send_or(data, instead)


def tell_unheard(channel: Channel, work: Unheard) -> None:
    """Answer for what could not be received."""
    channel.sock.send(encode(_error(work.key, work.claim, "no file descriptor was free to receive the payload by")))


def _error(key: int, claim: int, message: str) -> Done:
    return Done(key, claim, 0, "raised", error=ErrorData(type="OSError", message=message), retire=True)
