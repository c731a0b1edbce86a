"""The table of all commands. A command's module is imported when it is used, so that `duly --help` is quick."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from duly.cli import exits, streams
from duly.errors import NotAvailable

COMMANDS = {
    "perform": "Run one callable in a process of its own, now.",
    "worker": "Work on the tasks of an App until told to stop.",
    "submit": "Store a task.",
    "show": "Show all that is known of one task.",
    "map": "Submit a task for each item, and print their results.",
    "watch": "Watch tasks until they have ended.",
    "tasks": "List tasks.",
    "cancel": "Cancel a task, or many.",
    "retry": "Have failed tasks tried again.",
    "pause": "Have no more tasks of an action or a queue begun.",
    "resume": "Have them begun again.",
    "stats": "Count tasks, and say who works on them.",
    "completion": "Print the script by which a shell completes all this.",
    "doctor": "Look whether all is well here.",
    "backup": "Copy the store into one file, while others work.",
    "copy": "Move a stopped store to another place, such as a server.",
    "prune": "Remove what has ended long enough ago.",
    "migrate": "Bring the store's schema up to date.",
    "demo": "Show durable tasks at work, in some ten seconds.",
}
"""Each command is `command` in the module of its name; these lines are said here so that none is imported for them."""

LATER = (*("errors", "replay", "why", "hub", "keys", "up", "check"),)

EPILOG = """\b
A start:
  duly demo                                  see it work
  duly perform math:sqrt 16                  one callable, one process, now
  duly worker -a shop:app                    work on the tasks of `app` in shop.py
  duly submit -a shop:app email:send '{"to": "ann@example.com"}'
  duly submit -a shop:app report:build '"2026-01"' --watch
  duly tasks --state failed                  what went wrong
\b
The App is named by -a module:attribute, by DULY_APP, or by `app` in
[tool.duly] of pyproject.toml. Where only its store is needed, --url,
DULY_URL or `url` there will do.
\b
Exit codes:
  0 ok                     4 the store cannot be used     124 waited too long
  1 the task failed        5 the task was cancelled       130 interrupted
  2 wrong usage            6 the task expired
  3 no such task or target
"""


class Commands(click.Group):
    """The group of all commands, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the group's own signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"duly.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; say of one that is to come that it is, and of a slip what may have been meant."""
        name = args[0]
        if name in LATER:
            raise NotAvailable(f"duly {name} is not in this release yet")
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - 4 ms, for slips alone

            near = get_close_matches(name, COMMANDS, 1)
            raise click.UsageError(f"there is no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def _main_shell_completion(self, ctx_args: Any, prog_name: str, complete_var: str | None = None) -> None:
        """Answer a shell that asks what may come next; only then is more imported for it."""
        if "_DULY_COMPLETE" in os.environ:
            import_module("duly.cli.completion")
            super()._main_shell_completion(ctx_args, prog_name, complete_var)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever is to be expected becomes a message and an exit code."""
        with exits.told() as end:
            end.code = super().invoke(ctx) or 0
            streams.flush()
        return end.code


@click.command(
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="duly", message="duly %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Durable tasks for Python: what is accepted gets done, through crashes and restarts."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(exits.Exit.USAGE)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's own, and return its exit code."""
    with exits.told() as end:
        end.code = commands.main(arguments, prog_name="duly", standalone_mode=False)
    return end.code
