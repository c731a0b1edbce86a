from typing import get_args

import pytest

from duly.core.outcome import Outcome
from duly.core.task import State
from tools import lifecycle as tool


def test_the_page_says_what_the_code_says():
    assert tool.main(["--check"]) == 0, "run python tools/lifecycle.py"


def test_a_page_that_says_something_else_is_found_and_left_as_it_is(tmp_path, capsys):
    page = tmp_path / "lifecycle.md"
    assert tool.main(["--check"], page) == 1
    page.write_text("All tasks succeed.")
    assert tool.main(["--check"], page) == 1
    assert page.read_text() == "All tasks succeed."
    assert "lifecycle.md" in capsys.readouterr().err
    assert tool.main([], page) == tool.main(["--check"], page) == 0


def test_it_asks_for_every_kind_of_outcome_and_tells_of_every_state():
    cleaning = tool.task(verdict=State.CANCELLED, cleanup=1, owed=("undo",))
    events = [event for step in tool.STEPS for event in step.decide(cleaning).events]
    asked = {data["outcome"] for kind, _, data in events if kind == "step"} | {"interrupted"}
    assert asked == {kind.__name__.lower() for kind in get_args(Outcome)}
    assert set(tool.MEANINGS) == set(State)


def test_facts_that_do_not_matter_make_no_lines_of_their_own():
    success, failure = (tool.lines(step, tool.PAST, {}) for step in tool.STEPS[:2])
    assert [conditions for conditions, _ in success] == [()]
    assert [conditions for conditions, _ in failure] == [("attempt 1",), ("from attempt 2 on",), ("the last attempt",)]


@pytest.mark.parametrize("state", [state.name.lower() for state in State] + ["cancelling"])
def test_nothing_leads_out_of_an_end_but_a_retry_of_what_failed(state):
    ways = {(edge.target, edge.label) for edge in tool.edges() if edge.source == state}
    if state == "failed":
        assert ways == {("ready", "retry")}
    else:
        assert bool(ways) != (state in ("succeeded", "cancelled", "expired"))
