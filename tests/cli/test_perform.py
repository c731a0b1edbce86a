import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

TARGETS = """
import os
import sys
import threading

import duly


def task(options):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return options


def good(options):
    return True


def bad(options):
    return False


def no(options):
    return duly.Failure({"why": options})


def breaks(options):
    raise KeyError("missing", options)


def leaves(options):
    sys.exit(0)


def stays(options):
    print("pid", os.getpid(), flush=True)
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass
"""


@pytest.fixture
def targets(cli: "Cli") -> "Cli":
    cli.write("targets.py", TARGETS)
    return cli


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        (["math:sqrt", "16"], 0, {"ok": True, "value": 4.0}),
        (["targets:good"], 0, {"ok": True, "value": None}),
        (["targets:bad"], 1, {"ok": False, "value": None}),
        (["targets:no", '"so"'], 1, {"ok": False, "value": {"why": "so"}}),
        (["math:fabs", "--", "-1"], 0, {"ok": True, "value": 1.0}),
    ],
)
def test_what_came_of_it_is_one_document_on_stdout(
    targets: "Cli", arguments: list[str], code: int, printed: Any
) -> None:
    done = targets("perform", *arguments)
    assert done.code == code
    assert json.loads(done.out) == printed


def test_what_the_target_prints_goes_to_stderr_and_a_file_is_a_target_too(targets: "Cli") -> None:
    done = targets("perform", "./targets.py", "-", stdin='{"a": [1]}')
    assert json.loads(done.out) == {"ok": True, "value": {"a": [1]}}
    assert done.err.splitlines() == ["to stdout", "to stderr"]


def test_an_exception_is_told_with_the_users_lines_alone(targets: "Cli") -> None:
    done = targets("perform", "targets:breaks", "1")
    assert done.code == 1
    told = json.loads(done.out)
    assert told["ok"] is False
    assert (told["error"]["code"], told["error"]["error"]["type"]) == ("failed", "KeyError")
    assert done.err.startswith("error: KeyError: ('missing', 1)\nTraceback")
    assert "targets.py" in done.err
    assert "importlib" not in done.err
    assert "/duly/" not in done.err


def test_a_module_that_fails_to_import_is_told_with_the_users_lines_alone(targets: "Cli") -> None:
    targets.write("broken.py", "import nosuchmodule\n")
    done = targets("perform", "broken:task")
    assert done.code == 1
    assert json.loads(done.out)["error"]["error"]["type"] == "ModuleNotFoundError"
    assert "broken.py" in done.err
    assert "importlib" not in done.err


def test_a_process_that_ends_without_an_answer_failed(targets: "Cli") -> None:
    done = targets("perform", "targets:leaves")
    assert done.code == 1
    error = json.loads(done.out)["error"]
    assert (error["code"], error["exit_code"], error["signal"]) == ("died", 0, None)


def test_a_time_limit_holds(targets: "Cli") -> None:
    done = targets("perform", "targets:stays", "--timeout", "200ms", "--grace", "100ms")
    assert done.code == 1
    assert json.loads(done.out)["error"]["code"] == "timeout", done.err
    assert "timed out after 0.2 s" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{", "the options: not JSON"),
        ("ann", """text is written in quotes: '"ann"'"""),
        ("NaN", "the options: not JSON"),
        ("[" * 100 + "]" * 100, "nested"),
    ],
)
def test_options_that_are_not_json_are_refused(inside: "Inside", options: str, said: str) -> None:
    done = inside("perform", "math:sqrt", options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("limit", [["--timeout", "soon"], ["--memory", "lots"], ["--grace", "-1"]])
def test_limits_that_cannot_be_read_are_refused(inside: "Inside", limit: list[str]) -> None:
    done = inside("perform", "math:sqrt", "1", *limit)
    assert done.code == 2
    assert f"bad {limit[0][2:]} {limit[1]!r}" in done.err


@pytest.mark.parametrize("target", ["nosuch:thing", "math:nosuch", "./nosuch.py", "not a target", "math:a b"])
def test_a_target_that_is_not_there_is_exit_3(targets: "Cli", target: str) -> None:
    done = targets("perform", target, "1")
    assert done.code == 3
    assert json.loads(done.out)["error"]["code"] == "target_not_found"
    assert done.err.startswith("error: ")


def test_an_interrupt_ends_it_and_its_process(targets: "Cli") -> None:
    running = targets.start("perform", "targets:stays", "--grace", "100ms")
    running.until("pid ")
    running.until("\n")
    pid = int(running.err.split()[1])
    done = running.end(signal.SIGINT)
    assert done.code == 130
    assert done.err.endswith("interrupted\n")
    assert not Path(f"/proc/{pid}").exists()
