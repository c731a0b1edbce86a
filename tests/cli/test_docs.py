"""docs/cli.md against what there is: every command and option, and the shape of all JSON that is printed."""

import json
import re
import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from duly.cli.commands import COMMANDS, commands
from duly.cli.exits import Exit

if TYPE_CHECKING:
    import click

    from tests.cli.conftest import Cli, Done, History

PAGE = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## duly (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHAPES = {name: json.loads(text) for name, text in re.findall(r"^```json ([\w-]+)\n(.*?)\n```$", PAGE, re.MULTILINE)}
EVERYWHERE = {"--app", "--url", "--quiet", "--color", "--json", "--jsonl", "--help"}

PLAIN = {
    "text": lambda value: isinstance(value, str),
    "whole": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: type(value) is bool,
    "json": lambda value: True,
    "moment": lambda value: value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None,
    "error": lambda value: fits(value, SHAPES["error"]),
}


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape; `"..."` stands for more fields."""
    if isinstance(shape, dict):
        more = "..." in shape
        named = {name: inner for name, inner in shape.items() if name != "..."}
        known = isinstance(value, dict) and (named.keys() <= value.keys() if more else named.keys() == value.keys())
        return known and all(fits(value[name], inner) for name, inner in named.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    kind = shape.removesuffix(" or null")
    return (value is None and kind != shape) or PLAIN[kind](value)


def put(done: "Done") -> list[Any]:
    values = [json.loads(line) for line in done.out.splitlines()]
    assert values, done.err
    return values


def test_a_shape_is_told_from_another() -> None:
    assert fits({"id": "x", "answer": "ended"}, SHAPES["cancel"])
    for wrong in (
        {"id": "x"},
        {"id": 1, "answer": "x"},
        {"id": "x", "answer": None},
        {"id": "x", "answer": "y", "z": 1},
    ):
        assert not fits(wrong, SHAPES["cancel"])


def test_every_command_has_a_section_and_nothing_else_has() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_names_just_the_options_there_are(name: str) -> None:
    command = commands.get_command(commands.make_context("duly", [name, "--help"], resilient_parsing=True), name)
    assert command is not None
    there = {option for one in command.params if not getattr(one, "hidden", False) for option in long_names(one)}
    named = set(re.findall(r"--[a-z][a-z-]+", SECTIONS[name]))
    assert there - EVERYWHERE <= named
    assert named <= there | EVERYWHERE


def long_names(parameter: "click.Parameter") -> list[str]:
    return [name for name in parameter.opts if name.startswith("--")]


def test_the_exit_codes_are_those_there_are() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == [code.value for code in Exit]


@pytest.mark.parametrize("name", ["sent", "failed", "later", "dropped", "strange"])
def test_show_prints_its_shape(history: "History", name: str) -> None:
    (shown,) = put(history.cli("show", "-a", "shop", history.ids[name], "--json"))
    assert fits(shown, SHAPES["show"])


def test_reading_commands_print_their_shapes(history: "History") -> None:
    cli = history.cli
    for one in cli("tasks", "-a", "shop", "--json").data():
        assert fits(one, SHAPES["tasks"])
    for one in put(cli("tasks", "-a", "shop", "--jsonl")):
        assert fits(one, SHAPES["tasks"])
    for one in put(cli("watch", "-a", "shop", history.ids["sent"], history.ids["failed"], "--jsonl")):
        assert fits(one, SHAPES["watch"])
    assert fits(put(cli("stats", "-a", "shop", "--json"))[0], SHAPES["stats"])
    assert fits(put(cli("stats", "--url", "sqlite:///shop.db", "--json"))[0], SHAPES["stats"])
    assert fits(put(cli("doctor", "-a", "shop", "--json"))[0], SHAPES["doctor"])


def test_who_watches_counts_prints_its_shape(history: "History") -> None:
    watching = history.cli.start("stats", "-a", "shop", "--watch", "--json")
    assert watching.process.stdout is not None
    line = json.loads(watching.process.stdout.readline())
    assert watching.end(signal.SIGINT).code == 0
    assert fits(line, SHAPES["stats-watch"])
    assert line.keys() == (SHAPES["stats-watch"] | SHAPES["stats"]).keys() - {"..."}


def test_commands_that_change_something_print_their_shapes(cli: "Cli") -> None:
    (submitted,) = put(cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h", "--json"))
    assert fits(submitted, SHAPES["submit"])
    ids = [submitted["id"], submitted["id"], "00000000-0000-7000-8000-000000000000"]
    answers = put(cli("retry", "-a", "shop", *ids, "--jsonl"))
    assert [one["answer"] for one in answers] == ["retried", "refused", "unknown"]
    assert all(fits(one, SHAPES["retry"]) for one in answers)
    assert fits(put(cli("cancel", "-a", "shop", submitted["id"], "--json"))[0], SHAPES["cancel"])
    for dry in (["--dry-run"], []):
        assert fits(put(cli("cancel", "-a", "shop", "--all", "--json", *dry))[0], SHAPES["cancel-many"])
        assert fits(put(cli("retry", "-a", "shop", "--since", "1h", "--json", *dry))[0], SHAPES["retry-many"])
    cli("submit", "-a", "shop", "email:send", '"ann"')
    for what in (["email:send"], ["--queue", "default"]):
        assert fits(put(cli("pause", "-a", "shop", "--json", *what))[0], SHAPES["pause"])
    assert fits(put(cli("stats", "-a", "shop", "--json"))[0], SHAPES["stats"])
    assert all(fits(one, SHAPES["tasks"]) for one in cli("tasks", "-a", "shop", "--json").data())
    assert fits(put(cli("resume", "-a", "shop", "--json", "email:send"))[0], SHAPES["pause"])


def test_those_that_keep_a_store_in_order_print_their_shapes(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    for name, *more in (
        ("backup", "copy.db"),
        ("prune",),
        ("prune", "--dry-run"),
        ("migrate", "--dry-run"),
        ("copy", "--to", "sqlite:///new.db", "--dry-run"),
        ("copy", "--to", "sqlite:///new.db"),
    ):
        assert fits(put(cli(name, "-a", "shop", *more, "--json"))[0], SHAPES[name])


def test_those_that_wait_print_their_shapes(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1", "--quiet")
    for payload in (["email:send", '"ann"'], ["email:fail", "7"]):
        (ended,) = put(cli("submit", "-a", "shop", *payload, "--wait", "--json"))
        assert fits(ended, SHAPES["ended"])
        (told,) = put(cli("map", "-a", "shop", *payload))
        assert fits(told, SHAPES["map"])
    *events, ended = put(cli("submit", "-a", "shop", "email:send", '"ann"', "--watch", "--jsonl"))
    assert all(fits(event, SHAPES["watch"]) for event in events)
    assert fits(ended, SHAPES["ended"])
    assert fits(put(cli("stats", "-a", "shop", "--json"))[0], SHAPES["stats"])
    assert worker.end().code == 0


def test_perform_prints_its_shapes(cli: "Cli") -> None:
    assert fits(put(cli("perform", "math:sqrt", "16"))[0], SHAPES["perform"])
    assert fits(put(cli("perform", "math:sqrt", "-q", "--", "-1"))[0], SHAPES["perform-error"])
