"""A program that submits in one form, and is interrupted again and again; its tasks are noted before and after.

It says `armed` when an interrupt may come, which ends what it does; then it looks whether its App still works.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count

import duly
import duly.app
from duly.core.passport import Passport
from duly.engine import desk

app = duly.App()
numbers = count()
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if __name__ == "__main__" else -1
LARGE = "x" * 200_000


def note(what: str, *ids: str) -> None:
    """Write lines, all or none."""
    os.write(log, "".join(f"{what} {task_id}\n" for task_id in ids).encode())


def passport() -> Passport:
    """Make the next task, and note it; each tenth is a large one."""
    number = next(numbers)
    made = app.passport("shop:echo", LARGE if number % 10 == 0 else number)
    note("try", made.id)
    return made


def one_by_one() -> None:
    """Submit, and again."""
    while True:
        note("ack", app.submit(passport()).id)


def many() -> None:
    """Submit in lists that take several commits, which overlap."""
    while True:
        note("ack", *(handle.id for handle in app.submit_many(passport() for _ in range(40))))


async def coroutine() -> None:
    """Submit, and again."""
    while True:
        note("ack", (await app.asubmit(passport())).id)


def in_a_loop() -> None:
    """Submit from an event loop, a dozen at a time."""

    async def main() -> None:
        say("armed")
        await asyncio.gather(*(coroutine() for _ in range(12)))

    asyncio.run(main())


def beside_others() -> None:
    """Submit, while other threads do, too."""
    one_by_one()


def passing_on(errors: list[BaseException]) -> None:
    """What the other threads do; nobody interrupts them."""
    try:
        one_by_one()
    except duly.StoreUnavailable:
        return  # closed at the end
    except BaseException as error:  # noqa: BLE001 - it is told by the main thread
        errors.append(error)


def say(what: str) -> None:
    """Tell who interrupts."""
    os.write(1, f"{what}\n".encode())


FORMS: dict[str, Callable[[], None]] = {
    "one": one_by_one,
    "many": many,
    "loop": in_a_loop,
    "threads": beside_others,
}


def interrupted(form: str) -> Iterator[None]:
    """Submit in this form until interrupted; for ever."""
    while True:
        try:
            if form != "loop":
                say("armed")
            FORMS[form]()
        except KeyboardInterrupt:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def main(form: str, times: int) -> None:
    """Be interrupted so many times, and look each time whether a task can be submitted and found."""
    desk.MOST_SUBMITS = duly.app.MOST_SUBMITS = 15
    app.submit(passport())
    errors: list[BaseException] = []
    if form == "threads":
        for _ in range(4):
            threading.Thread(target=passing_on, args=(errors,), daemon=True).start()
    for _, _ in zip(range(times), interrupted(form), strict=False):
        handle = app.submit(passport())
        assert handle.refresh().state == "ready", handle
        note("ack", handle.id)
        assert not errors, errors
    app.close()
    say("done")


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]))
