"""An App with something around the life of each runner that is slow to end."""

import os
import threading
from collections.abc import Iterator

import duly

app = duly.App()


@app.runner_setup
def slow_to_end() -> Iterator[None]:
    os.write(2, b"has begun\n")
    yield
    os.write(2, b"begins to end\n")
    threading.Event().wait(8)


@app.action("around:nothing")
def nothing() -> None: ...
