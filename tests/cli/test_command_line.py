import subprocess
import sys

import pytest

from duly.cli import commands as command_line
from duly.cli.exits import Exit, code_of
from duly.core.endings import exception_of
from duly.errors import DulyError, StoreBusy, WaitTimeout

HEAVY = {"apsw", "rich", "psutil", "asyncio", "duly.app", "duly.cli.worker", "duly.engine.node"}


def test_without_a_command_it_says_how_it_is_used_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run([]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "Commands:" in err


def test_help_goes_to_stdout_and_names_all_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["--help"]) == Exit.OK
    out, err = capsys.readouterr()
    assert err == ""
    for name in command_line.COMMANDS:
        assert f"  {name} " in out
    for code in Exit:
        assert f" {code} " in out


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_each_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run([name, "--help"]) == Exit.OK
    out = capsys.readouterr().out
    assert f"  duly {name}" in out
    assert "--quiet" in out


@pytest.mark.parametrize("name", command_line.LATER)
def test_a_command_that_is_to_come_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run([name, "--any", "thing"]) == Exit.USAGE
    assert capsys.readouterr().err == f"error: duly {name} is not in this release yet\n"


def test_a_slip_in_a_commands_name_is_answered_with_what_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["sbumit"]) == Exit.USAGE
    assert "did you mean 'submit'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--nosuch"], ["submit"], ["tasks", "--first", "0"], ["worker", "-c", "x"]])
def test_wrong_usage_is_told_with_where_help_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(arguments) == Exit.USAGE
    error, cure = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert cure.startswith("try: duly")
    assert cure.endswith("--help")


def test_version_is_the_packages_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["--version"]) == Exit.OK
    assert capsys.readouterr().out == "duly 0.1.0\n"


def test_help_imports_nothing_that_takes_time() -> None:
    text = f"import sys; from duly.cli import run; run(['--help']); print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exception_of(None, "cancel"), 5),
        (exception_of(None, "expired"), 6),
        (exception_of(None, "failure"), 1),
        (StoreBusy("x"), 4),
        (WaitTimeout("x"), 124),
    ],
)
def test_an_errors_kind_says_the_exit_code(error: DulyError, code: int) -> None:
    assert code_of(error) == code
