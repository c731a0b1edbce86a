"""`duly completion`."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from duly.cli.streams import put, talk_options

BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' line="${COMP_LINE:0:$COMP_POINT}" word prefix="" type value
    word="${line##*[[:space:]]}"
    # Bash takes what is behind a colon for a word of its own, and replaces only that.
    [[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && prefix="${word%%"${word##*:}"}"
    COMPREPLY=()
    for completion in $(env COMP_WORDS="$line" %(complete_var)s=bash_complete "$1"); do
        type="${completion%%%%,*}" value="${completion#*,}"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$prefix"}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion for bash that knows of colons, of which every action has one."""

    source_template = BASH

    def source(self) -> str:
        """Return the script, without running a shell to ask for its version."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is to be completed, and that."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    "completion",
    epilog="""\b
Examples:
  source <(duly completion bash)             now; for good, in ~/.bashrc
  source <(duly completion zsh)              the same in ~/.zshrc, after compinit
  duly completion fish | source              the same in ~/.config/fish/config.fish
""",
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@talk_options
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes duly's commands and options, action names and task ids.

    Actions are those of the App that is named by -a before, by DULY_APP or in pyproject.toml; tasks are the newest.
    """
    put(SHELLS[shell](ctx.find_root().command, {}, "duly", "_DULY_COMPLETE").source().rstrip())


add_completion_class(Bash)
