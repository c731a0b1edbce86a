"""Submit until SIGTERM, beside a thread that spins: PIPE SINGLES BATCH BYTES.

In turn so many one by one and so many at once, with blobs of so many bytes; the pipe is told of the first.
"""

import signal
import sys
import threading

from bench.inside.tasks import app, noop, write


def spin() -> None:
    """Never let go of the GIL unasked."""
    while True:
        pass


if __name__ == "__main__":
    pipe, singles, batch, blob = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "x" * int(sys.argv[4])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=spin, daemon=True).start()
    noop.submit(blob)
    write(pipe)
    while not stop.is_set():
        for _ in range(singles):
            noop.submit(blob)
        app.submit_many(noop.passport(blob) for _ in range(batch))
    app.close()
