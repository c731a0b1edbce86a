"""`duly perform`."""

from __future__ import annotations

from typing import Any

import click

from duly.cli import exits
from duly.cli.payloads import read_json
from duly.cli.places import put_cwd_first
from duly.cli.streams import put_json, say, talk_options
from duly.cli.troubles import document, tell_error
from duly.errors import DulyError, InvalidInput
from duly.runner.perform import limits_of, perform_to

STDERR = 2


@click.command(
    "perform",
    epilog="""\b
Examples:
  duly perform math:sqrt 16
  duly perform report.py:build '{"month": "2026-01"}' --timeout 5m --memory 512MiB
  cat options.json | duly perform shop.reports -
  duly perform math:fabs -- -1               what begins with - goes behind --
\b
Exit codes: 0 ok, 1 not ok or an error, 2 the options are not JSON, 3 there is no such target, 130 interrupted.
""",
)
@click.argument("target")
@click.argument("options", required=False, metavar="[OPTIONS-JSON|-]")
@click.option("--timeout", metavar="TIME", help="When it is asked to stop: 1s, 500ms, 5m. No limit without.")
@click.option("--grace", metavar="TIME", default="2s", show_default=True, help="How long it may take to stop then.")
@click.option("--memory", metavar="SIZE", help="What it and its children may use: 256MiB, 1GB. No limit without.")
@click.option("--json", is_flag=True, hidden=True, expose_value=False, help="It always does.")
@talk_options
def command(target: str, options: str | None, timeout: str | None, grace: str, memory: str | None) -> exits.Exit:
    """Run one callable in a process of its own, now, and print what it came to.

    TARGET is package.module:function or path/to/file.py:function; without a function, `task` is meant. It is called
    with one argument, the options: JSON text, or - to read it from stdin.

    Prints {"ok": ..., "value": ...}, or {"ok": false, "error": ...} if it raised, died or reached a limit. What the
    target itself prints goes to stderr. When the command ends, the process and all that it started are gone.
    """
    put_cwd_first()
    value = read_json(options, "the options")
    limits = limits_of(timeout, grace, memory)
    try:
        performed = perform_to(target, value, limits, STDERR)
    except InvalidInput:
        raise
    except DulyError as error:
        put_json({"ok": False, "error": document(error)})
        tell_error(error)
        return exits.code_of(error)
    put_json(performed._asdict())
    return _judged(performed.ok, performed.value)


def _judged(ok: bool, value: Any) -> exits.Exit:
    if ok:
        return exits.Exit.OK
    say("not ok" if value is None else "not ok, see the value")
    return exits.Exit.FAILED
