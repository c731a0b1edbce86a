from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside


def test_the_id_is_printed_and_the_task_is_stored(cli: "Cli") -> None:
    done = cli("submit", "-a", "shop:app", "email:send", '{"to": "ann"}')
    assert done.code == 0
    assert done.err == ""
    shown = cli("show", "-a", "shop", done.out.strip(), "--json").data()
    assert (shown["state"], shown["payload"]) == ("ready", {"to": "ann"})


def test_options_are_kept_with_the_task(cli: "Cli") -> None:
    options = ["--delay", "1h", "--priority", "high", "--queue", "mail", "--timeout", "none", "--max-attempts", "2"]
    made = cli("submit", "-a", "shop", "email:send", '"ann"', *options, "--json").data()
    assert (made["action"], made["state"]) == ("email:send", "scheduled")
    shown = cli("show", "-a", "shop", made["id"], "--json").data()
    assert (shown["queue"], shown["priority"]) == ("mail", "high")
    assert (shown["options"]["timeout"], shown["options"]["max_attempts"]) == (None, 2)


def test_a_payload_may_come_from_stdin(cli: "Cli") -> None:
    made = cli("submit", "-a", "shop", "email:send", "-", "--json", stdin='{"to": "Zoë"}').data()
    assert cli("show", "-a", "shop", made["id"], "--json").data()["payload"] == {"to": "Zoë"}


def test_an_empty_stdin_is_told_as_what_it_is(cli: "Cli") -> None:
    for stdin in ("", " \n"):
        done = cli("submit", "-a", "shop", "email:send", "-", stdin=stdin)
        assert (done.code, done.out) == (2, "")
        assert "error: the payload from stdin: not JSON: it is empty\n" in done.err
    assert "the payload: not JSON: it is empty" in cli("submit", "-a", "shop", "email:send", "").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["email:send", "{"], "the payload: not JSON"),
        (["email:send", "ann"], """'"ann"'"""),
        (["email:send", '{"to": 1}'], "$.to"),
        (["email:send", '{"to": "a", "cc": "b"}'], "`cc`"),
        (["email:send"], "no payload was given"),
        (["email:sned", '"ann"'], "did you mean 'email:send'?"),
        (["send", '"ann"'], "with --elsewhere"),
        (["Send!", '"ann"', "--elsewhere"], "bad action name 'Send!'"),
        (["email:send", '"ann"', "--delay", "soon"], "bad delay 'soon'"),
        (["email:send", '"ann"', "--run-at", "2026-13-01"], "bad run_at"),
        (["email:send", '"ann"', "--run-at", "1h", "--delay", "1h"], "twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_stored(
    cli: "Cli", inside: "Inside", arguments: list[str], said: str
) -> None:
    done = inside("submit", "-a", "shop", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert not (cli.folder / "shop.db").exists()


def test_an_action_of_another_app_is_stored_if_that_is_meant(cli: "Cli") -> None:
    done = cli("submit", "--url", "sqlite:///other.db", "video:cut", "[1]", "--elsewhere")
    assert done.code == 0
    (task,) = cli("tasks", "--url", "sqlite:///other.db", "--json").data()
    assert (task["id"], task["action"], task["state"]) == (done.out.strip(), "video:cut", "ready")


def test_submitting_imports_nothing_that_only_workers_and_people_need(cli: "Cli") -> None:
    shop = (cli.folder / "shop.py").read_text()
    cli.write("shop.py", "import atexit, sys\natexit.register(lambda: print(*sys.modules))\n" + shop)
    done = cli("submit", "-a", "shop", "email:send", '"ann"')
    assert done.code == 0
    modules = set(done.out.split())
    assert "duly.store.sqlite.store" in modules
    assert not modules & {"asyncio", "psutil", "rich", "duly.engine.node", "duly.runner.pool"}


def test_an_app_without_actions_says_so(cli: "Cli", inside: "Inside") -> None:
    cli.write("bare.py", "import duly\n\napp = duly.App('sqlite:///bare.db')\n")
    done = inside("submit", "-a", "bare", "email:send", "1")
    assert done.code == 2
    assert "it has none at all" in done.err
