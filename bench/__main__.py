"""`python bench`: measure what duly can do here, each figure beside the raw limit of the same kind."""

import signal
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import strays  # noqa: E402 - it is a package of the folder above, which nothing else names
from bench.command import main  # noqa: E402

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends as by Ctrl-C, and leaves nothing behind
    strays.adopt()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        strays.sweep()
