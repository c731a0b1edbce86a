from __future__ import annotations

import os
import select

from duly.engine.waker import Waker


def readable(waker: Waker) -> bool:
    return bool(select.select([waker], [], [], 0)[0])


def test_it_is_readable_from_a_wake_until_it_is_cleared_however_often_it_was_woken() -> None:
    waker = Waker()
    assert not readable(waker)
    waker.wake()
    waker.wake()
    assert readable(waker)
    waker.clear()
    assert not readable(waker)
    waker.clear()
    waker.close()


def test_a_wake_after_the_close_does_nothing_not_even_to_whoever_has_the_descriptor_now() -> None:
    waker = Waker()
    number = waker.fileno()
    waker.close()
    other = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        assert other == number, "the lowest free number is taken first"
        waker.wake()
        assert not select.select([other], [], [], 0)[0]
    finally:
        os.close(other)
