import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside


def test_a_paused_action_waits_until_it_is_resumed_and_others_are_worked_on(cli: "Cli") -> None:
    assert cli("submit", "-a", "shop", "report:build", '"shop.py"').code == 0
    done = cli("pause", "-a", "shop", "email:send")
    assert (done.code, done.out) == (0, "paused\n")
    assert "what runs goes on" in done.err
    held = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    assert cli("submit", "-a", "shop", "report:build", '"shop.py"', "--wait").code == 0
    assert cli("show", "-a", "shop", held, "--json").data()["state"] == "ready"
    done = cli("resume", "-a", "shop", "email:send")
    assert (done.code, done.out) == (0, "resumed\n")
    assert "it was paused for" in done.err
    assert cli("watch", "-a", "shop", held, "--timeout", "30s").code == 0
    assert worker.end().code == 0


def test_a_pause_said_again_changes_nothing_and_says_since_when(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    first = cli("pause", "-a", "shop", "--queue", "default", "--json").data()
    assert (first["queue"], first["action"], first["paused"], first["changed"]) == ("default", None, True, True)
    assert cli("pause", "-a", "shop", "--queue", "default", "--json").data() == first | {"changed": False}
    done = cli("pause", "-a", "shop", "--queue", "default")
    assert (done.code, done.out) == (0, "unchanged\n")
    assert "it was paused" in done.err


def test_what_is_paused_is_told_wherever_one_looks(cli: "Cli") -> None:
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    cli("submit", "-a", "shop", "report:build", '"x"')
    cli("pause", "-a", "shop", "--queue", "default")
    cli("pause", "-a", "shop", "report:stall")
    stats = cli("stats", "-a", "shop", "--json").data()
    assert [(one["queue"], one["action"]) for one in stats["paused"]] == [(None, "report:stall"), ("default", None)]
    since = stats["paused"][1]["since"]
    assert {row["action"]: row["paused_since"] for row in stats["actions"]} == {
        "email:send": since, "report:build": None,
    }  # fmt: skip
    assert re.search(r"^paused: queue default, .*; 1 task waits$", cli("stats", "-a", "shop").out, re.MULTILINE)
    tasks = cli("tasks", "-a", "shop", "--json").data()
    assert [task["paused_since"] for task in tasks] == [None, since]
    assert "ready (paused)" in cli("tasks", "-a", "shop").out
    assert cli("show", "-a", "shop", task_id, "--json").data()["paused_since"] == since
    assert re.search(r"^  paused +its queue or action is, since ", cli("show", "-a", "shop", task_id).out, re.MULTILINE)


def test_what_was_not_paused_is_resumed_without_complaint_and_what_is_paused_still_is_said(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    cli("pause", "-a", "shop", "--queue", "default")
    done = cli("resume", "-a", "shop", "email:send")
    assert (done.code, done.out) == (0, "unchanged\n")
    assert done.err == "paused still: queue default\n"


def test_a_slip_in_a_name_is_refused_with_the_names_there_are_unless_it_is_meant(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    done = cli("pause", "-a", "shop", "email:sent")
    assert (done.code, done.out) == (2, "")
    assert "nobody has heard of action email:sent; there are email:fail, email:send, report:build" in done.err
    assert "did you mean 'email:send'? with --elsewhere" in done.err
    done = cli("pause", "--url", "sqlite:///shop.db", "--queue", "defult")
    assert done.code == 2
    assert "there are default" in done.err
    assert cli("pause", "-a", "shop", "--queue", "night", "--elsewhere").out == "paused\n"
    assert cli("resume", "-a", "shop", "--queue", "nigth").code == 2
    assert cli("resume", "-a", "shop", "--queue", "night").out == "resumed\n"


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("what", [[], ["email:send", "--queue", "mail"]])
def test_it_is_one_action_or_one_queue(inside: "Inside", command: str, what: list[str]) -> None:
    done = inside(command, "-a", "shop", *what)
    assert (done.code, done.out) == (2, "")
    assert ("not both" if what else "what?") in done.err
    assert "give an action, or --queue NAME" in done.err


def test_a_bad_name_is_wrong_usage(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    done = cli("pause", "-a", "shop", "--queue", "Mail", "--elsewhere")
    assert (done.code, done.out) == (2, "")
    assert "bad queue name 'Mail'" in done.err


def test_a_store_that_is_not_there_is_exit_4(inside: "Inside") -> None:
    assert inside("pause", "-a", "shop", "email:send").code == 4


def test_documents_say_the_same(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    cli("pause", "-a", "shop", "email:send")
    told = json.loads(cli("resume", "-a", "shop", "email:send", "--json").out)
    assert told == {"queue": None, "action": "email:send", "paused": False, "changed": True, "paused_since": None}
