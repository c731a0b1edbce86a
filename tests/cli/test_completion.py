"""Completion as bash does it, by the real script; for zsh and fish what they are answered."""

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History

BASH = """
source <(duly completion bash)
COMP_LINE={line} COMP_POINT=${{#COMP_LINE}}
_duly_completion duly
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(cli: "Cli", line: str, **environment: str) -> list[str]:
    """What bash is offered at the end of this line."""
    program = cli.folder / "duly"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(cli.command())} "$@"\n')
    program.chmod(0o755)
    path = f"{cli.folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(line=shlex.quote(line))], cwd=cli.folder, capture_output=True, text=True,
        env=cli.environment(PATH=path, **environment), timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options_are_offered(cli: "Cli") -> None:
    assert offered(cli, "duly su") == ["submit"]
    assert offered(cli, "duly submit --wa") == ["--wait", "--watch", "--wait-timeout"]
    assert offered(cli, "duly submit --priority ") == ["high", "medium", "low"]


@pytest.mark.parametrize("command", ["submit", "map", "watch --action", "tasks --action", "pause", "retry --action"])
def test_actions_of_the_app_are_offered(cli: "Cli", command: str) -> None:
    assert offered(cli, f"duly {command} em", DULY_APP="shop") == ["email:fail", "email:send"]


def test_behind_a_colon_only_the_rest_is_offered_as_bash_wants_it(cli: "Cli") -> None:
    assert offered(cli, "duly submit -a shop email:s") == ["send"]
    assert offered(cli, "duly submit -a shop report:") == ["build", "stall"]


def test_ids_of_tasks_in_question_are_offered_whole_or_by_their_ends(history: "History") -> None:
    ids, cli = history.ids, history.cli
    assert set(offered(cli, "duly show -a shop ")) == set(ids.values())
    assert set(offered(cli, "duly cancel -a shop ")) == {ids["later"], ids["strange"]}
    assert set(offered(cli, "duly retry -a shop ")) == {ids["failed"], ids["later"]}
    assert offered(cli, f"duly show --url sqlite:///shop.db {ids['sent'][-12:-4]}") == [ids["sent"][-12:]]


def test_queues_are_offered_and_to_be_resumed_only_what_is_paused(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"', "--queue", "night")
    assert offered(cli, "duly pause -a shop --queue ") == ["default", "night", "reports"]
    assert offered(cli, "duly cancel --url sqlite:///shop.db --queue n") == ["night"]
    assert offered(cli, "duly resume -a shop ") == []
    cli("pause", "-a", "shop", "email:send")
    cli("pause", "-a", "shop", "--queue", "night")
    assert offered(cli, "duly resume -a shop email:") == ["send"]
    assert offered(cli, "duly resume -a shop --queue ") == ["night"]


@pytest.mark.parametrize("text", ["x = = 1", "import sys; sys.exit(3)", "print('noise')\nimport nosuchmodule"])
def test_what_goes_wrong_offers_nothing_in_silence(cli: "Cli", text: str) -> None:
    cli.write("broken.py", text)
    assert offered(cli, "duly submit -a broken em") == []
    assert offered(cli, "duly show -a shop 01") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_that_asks_the_same(cli: "Cli", shell: str) -> None:
    assert f"_DULY_COMPLETE={shell}_complete" in cli("completion", shell).out
    line = {"COMP_WORDS": "duly submit -a shop email:s", "COMP_CWORD": "email:s" if shell == "fish" else "4"}
    done = cli(_DULY_COMPLETE=f"{shell}_complete", **line)
    assert (done.code, done.err) == (0, "")
    assert "email:send" in done.out


def test_an_unknown_shell_is_wrong_usage(cli: "Cli") -> None:
    done = cli("completion", "tcsh")
    assert (done.code, done.out) == (2, "")
