"""The command line: thin commands over the App. Each parses, calls the App, and shows.

stdout is data, stderr is talk. Nothing that takes time is imported here: first of all Ctrl-C is to end the process
without a word, until there is somebody who can say that it was interrupted.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # the real one is in typing, which takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's own, and return its exit code."""
    from duly.cli import commands  # noqa: PLC0415 - see above

    return commands.run(arguments)


def main() -> None:
    """Run this process's command line, and end the process."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # and not ignored, as in the background of a script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from duly.cli import commands, exits, streams  # noqa: PLC0415

    streams.make_ready()
    with exits.told() as end:
        signal.signal(signal.SIGINT, heard)
        try:
            end.code = commands.run()
        finally:
            if heard is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said and done: nothing is left to interrupt
    sys.exit(end.code)
