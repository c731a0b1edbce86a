import json
import os
import signal
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done

LINES = """
import duly

app = duly.App("sqlite:///lines.db")


@app.action("line:upper")
def upper(line: str) -> str:
    return line.encode().upper().decode()  # as `tr a-z A-Z` does it


@app.action("line:check", max_attempts=1)
def check(line: str) -> str:
    if "import" in line:
        raise ValueError("it imports")
    return line


@app.action("number:add", queue="sums")
def add(a: int, b: int = 1) -> int:
    return a + b
"""

UPPER = (
    r"""tr '\n' '\0' < lines.txt | xargs -0 -P 4 -n 200 sh -c 'printf "%s\n" "$@" | tr a-z A-Z > part.$$' sh; echo $?"""
)
CHECK = r"""tr '\n' '\0' < lines.txt | xargs -0 -P 4 -n 200 sh -c \
  'printf "%s\n" "$@" | grep -v import > part.$$; ! printf "%s\n" "$@" | grep -q import' sh; echo $?"""


@pytest.fixture(autouse=True)
def lines(cli: "Cli") -> None:
    cli.write("lines.py", LINES)


def results(done: "Done") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


def real_lines(number: int) -> str:
    """So many lines of real files."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-t]*.py"))
    text = ""
    while text.count("\n") < number:
        text += files.pop(0).read_text("utf-8")
    return "".join(line + "\n" for line in text.split("\n")[:number])


def by_xargs(cli: "Cli", text: str, script: str) -> tuple[int, Counter[str]]:
    (cli.folder / "lines.txt").write_text(text, "utf-8")
    done = subprocess.run(["sh", "-c", script], cwd=cli.folder, capture_output=True, text=True, timeout=60, check=True)
    parts = [part.read_text("utf-8") for part in cli.folder.glob("part.*")]
    return int(done.stdout), Counter(line for part in parts for line in part.split("\n")[:-1])


def test_ten_thousand_lines_come_out_as_from_xargs(cli: "Cli") -> None:
    text = real_lines(10_000)
    code, theirs = by_xargs(cli, text, UPPER)
    done = cli("map", "-a", "lines", "line:upper", "--text", "--work", stdin=text)
    assert (done.code, code) == (0, 0), done.err
    ours = results(done)
    assert Counter(one["value"] for one in ours) == theirs
    assert {one["number"]: one["item"] for one in ours} == dict(enumerate(text.split("\n")[:-1], 1))


def test_where_some_fail_the_others_come_out_as_from_xargs_and_the_exit_code_says_so(cli: "Cli") -> None:
    text = real_lines(2_000)
    code, theirs = by_xargs(cli, text, CHECK)
    done = cli("map", "-a", "lines", "line:check", "--text", "--work", stdin=text)
    assert (done.code, code) == (1, 123)
    ours = results(done)
    assert Counter(one["value"] for one in ours if one["ok"]) == theirs
    bad = text.count("\n") - sum(theirs.values())
    assert [one["error"]["error"]["message"] for one in ours if not one["ok"]] == ["it imports"] * bad
    assert done.err.splitlines()[-1] == f"{bad} of 2,000 tasks did not succeed: {bad} failed"


def test_ordered_results_come_in_the_order_of_the_items(cli: "Cli") -> None:
    done = cli("map", "-a", "lines", "number:add", "--work", "--ordered", *map(str, range(100)))
    assert done.code == 0, done.err
    assert [one["number"] for one in results(done)] == list(range(1, 101))
    assert [one["value"] for one in results(done)] == list(range(1, 101))


def test_an_item_is_json_and_an_object_the_arguments_by_name(cli: "Cli") -> None:
    done = cli("map", "-a", "lines", "number:add", "--work", "--ordered", "-c", "1", "1", '{"a": 2, "b": 3}')
    assert [one["value"] for one in results(done)] == [2, 5]
    assert results(done)[1]["item"] == {"a": 2, "b": 3}
    assert done.err == "all of 2 tasks succeeded\n"


def test_lines_keep_their_numbers_and_blank_ones_are_left_out_unless_they_are_text(cli: "Cli") -> None:
    json_lines = cli("map", "-a", "lines", "line:upper", "--work", "--ordered", stdin='"a"\n\n  \n"b"')
    assert [(one["number"], one["value"]) for one in results(json_lines)] == [(1, "A"), (4, "B")]
    text = cli("map", "-a", "lines", "line:upper", "--work", "--ordered", "--text", stdin="a\n\n b\n")
    assert [(one["number"], one["value"]) for one in results(text)] == [(1, "A"), (2, ""), (3, " B")]


def test_items_may_end_with_null_bytes(cli: "Cli") -> None:
    done = cli("map", "-a", "lines", "line:upper", "--work", "--ordered", "--text", "-0", stdin="a\nb\0c\0")
    assert [one["value"] for one in results(done)] == ["A\nB", "C"]


def test_nothing_to_do_is_no_failure(cli: "Cli") -> None:
    done = cli("map", "-a", "lines", "line:upper", "--work", stdin="")
    assert (done.code, done.out, done.err) == (0, "", "no items\n")


def test_a_line_is_worked_on_before_the_next_one_comes(cli: "Cli") -> None:
    reading, writing = os.pipe()
    command = cli.start("map", "-a", "lines", "number:add", "--work", "-c", "1", stdin=reading)
    os.close(reading)
    assert command.process.stdout is not None
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        for number in range(3):
            pipe.write(f"{number}\n".encode())
            assert json.loads(command.process.stdout.readline())["value"] == number + 1
    assert command.wait().code == 0


def test_no_more_than_may_be_are_under_way_and_ctrl_c_cancels_them(cli: "Cli") -> None:
    reading, writing = os.pipe()
    command = cli.start("map", "-a", "lines", "number:add", "--most", "10", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        pipe.write(b"1\n" * 50)
        command.until("no worker is at work on ")
        eventually(lambda: '"ready":10,' in cli("stats", "-a", "lines", "--json").out)
        done = command.end(signal.SIGINT)
    assert done.code == 130
    assert "interrupted: 10 tasks cancelled" in done.err
    assert [one["state"] for one in results(done)] == ["cancelled"] * 10
    assert cli("stats", "-a", "lines", "--json").data()["tasks"]["cancelled"] == 10


def test_a_second_ctrl_c_leaves_at_once_and_says_what_may_go_on(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    command = cli.start("map", "-a", "shop", "report:stall", "{}")
    worker.until("begun")
    command.process.send_signal(signal.SIGINT)
    command.until("interrupted: 1 task cancelled")
    done = command.end(signal.SIGINT, seconds=10)
    assert (done.code, done.out) == (130, ""), done.err
    assert "1 task may go on: duly tasks --url " in done.err
    worker.process.kill()


def test_a_reader_that_has_seen_enough_ends_even_an_endless_stream(cli: "Cli") -> None:
    done = cli.shell("yes 1 | {duly} map -a lines number:add --work -c 1 --most 20 | head -n 3")
    assert [json.loads(line)["value"] for line in done.out.splitlines()] == [2, 2, 2]
    assert "nobody reads the results any more: " in done.err
    assert "Traceback" not in done.err
    tasks = cli("stats", "-a", "lines", "--json").data()["tasks"]
    assert tasks["ready"] == tasks["running"] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n2\nthree\n4\n", "item 3: not JSON"),
        ('1\n2\n"three"\n4\n', "item 3: "),
        ("1\n2\n" + "3" * 200_000 + "\n", "item 3: "),
    ],
)
def test_after_an_item_that_is_refused_nothing_more_is_submitted(cli: "Cli", text: str, said: str) -> None:
    done = cli("map", "-a", "lines", "number:add", "--work", "--ordered", stdin=text, DULY_MAX_PAYLOAD="1000")
    assert done.code == 2
    assert [one["value"] for one in results(done)] == [2, 3]
    assert said in done.err
    assert "submitted before it, and ended: 2 tasks; after it: none\n" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["line:upper", '"a"', "b"], "with --text it is taken as it is"),
        (["number:add", "1", '{"a": "x"}'], "item 2: "),
        (["line:uper", '"a"'], "did you mean 'line:upper'?"),
        (["line:upper", '"a"', "-c", "2"], "it goes with --work"),
        (["line:upper", '"a"', "--work", "--url", "sqlite:///other.db"], "leave out --url"),
        (["line:upper", '"a"', "--most", "0"], "--most"),
        (["line:upper", '"a"', "--queue", "Bad Queue"], "bad queue"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(cli: "Cli", arguments: list[str], said: str) -> None:
    done = cli("map", "-a", "lines", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not (cli.folder / "lines.db").exists()


def test_a_text_that_is_no_unicode_is_refused(cli: "Cli") -> None:
    done = cli.shell(r"printf 'a\377\n' | {duly} map -a lines line:upper --text --work")
    assert (done.code, done.out) == (2, "")
    assert "item 1: it is not UTF-8" in done.err


def test_on_a_terminal_results_scroll_by_without_a_bar(cli: "Cli") -> None:
    seen = cli.on_terminal("map", "-a", "lines", "number:add", "1", "2", "--work", "-c", "1")
    *told, last = seen.splitlines()
    assert sorted(json.loads(line)["value"] for line in told) == [2, 3]
    assert last == "all of 2 tasks succeeded"
