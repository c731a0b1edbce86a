"""`duly submit`."""

from __future__ import annotations

from typing import Any

import click

from duly.app import App
from duly.cli import completing, exits
from duly.cli.options import refuse_undeclared, said, task_options
from duly.cli.payloads import read_json
from duly.cli.places import app_option, check_store, find_app, find_store, url_option
from duly.cli.streams import put, put_json, say, talk_options
from duly.cli.waiting import wait_for
from duly.core import units
from duly.errors import OptionInvalid, PayloadInvalid


@click.command(
    "submit",
    epilog="""\b
Examples:
  duly submit -a shop:app email:send '{"to": "ann@example.com", "text": "hello"}'
  duly submit report:build '"2026-01"' --delay 10m --priority low
  echo '["a.py", "b.py"]' | duly submit code:check -
  id=$(duly submit report:build '"2026-01"') && duly show "$id"
  duly submit report:build '"2026-01"' --wait --wait-timeout 30s
  duly submit report:build '"2026-01"' --watch --jsonl
\b
Exit codes: 0 stored; with --wait or --watch: 0 it succeeded, 1 it failed, 5 it was cancelled, 6 it expired, 124 it
goes on after --wait-timeout, 130 interrupted (it goes on).
""",
)
@click.argument("action", shell_complete=completing.actions)
@click.argument("payload", required=False, metavar="[PAYLOAD-JSON|-]")
@app_option
@url_option
@task_options
@click.option("--wait", is_flag=True, help="Wait until it has ended, and print its result.")
@click.option("--watch", is_flag=True, help="The same, and show meanwhile what happens to it.")
@click.option("--wait-timeout", metavar="TIME", help="Wait for so long at most: 30s, 5m. The task goes on.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document: id, action, state; waited for, its end."
)
@click.option("--jsonl", "as_lines", is_flag=True, help="With --watch: print its events, then its end, as JSON lines.")
@talk_options
def command(
    action: str,
    payload: str | None,
    app_name: str | None,
    url: str | None,
    elsewhere: bool,
    as_json: bool,
    wait: bool,
    watch: bool,
    wait_timeout: str | None,
    as_lines: bool,
    **options: Any,
) -> exits.Exit:
    """Store a task and print its id; it is on disk when the command ends. With --wait print its result instead.

    PAYLOAD is one JSON value: an object holds the handler's arguments by name, any other value is its only required
    one; - reads it from stdin. It is checked against the handler's signature. With --elsewhere no App is needed, only
    a store.
    """
    if as_lines and not watch:
        exits.refuse("--jsonl prints events as they come: it goes with --watch")
    seconds = None if wait_timeout is None else units.seconds(wait_timeout, "wait-timeout")
    value = read_json(payload, "the payload")
    app = find_store(app_name, url, new=True) if elsewhere else find_app(app_name)
    if not elsewhere:
        refuse_undeclared(app, action)
    passport = _passport(app, action, value, payload, said(options))
    store = app if url is None else App(url)
    check_store(store, new=True)
    handle = store.submit(passport)
    if wait or watch or seconds is not None:
        say(f"task {handle.id}")
        return wait_for(store, handle, seconds, watch=watch, shape="jsonl" if as_lines else "json" if as_json else "")
    if as_json:
        put_json({"id": handle.id, "action": handle.action, "state": handle.state})
    else:
        put(handle.id)
    return exits.Exit.OK


def _passport(app: App, action: str, value: Any, payload: str | None, options: dict[str, Any]) -> Any:
    try:
        return app.passport(action, value, **options)
    except OptionInvalid:
        raise
    except PayloadInvalid as error:
        if payload is None:
            error.add_note("no payload was given")
        raise
