import copy
import inspect
import pickle
import re

import pytest

import duly
from duly import errors
from duly.errors import DulyError, ErrorData, OutOfMemory, PayloadInvalid, TaskDied, TaskFailed, TaskStopped

DRAWN = re.compile(r"^((?:│   |    )*[├└]── )?( *)([A-Z]\w+)", re.MULTILINE)


def classes():
    return [
        found
        for found in vars(errors).values()
        if inspect.isclass(found) and issubclass(found, DulyError | TaskStopped)
    ]


def drawn():
    """Return (class, parent) as the tree in the module's docstring shows them."""
    tree = errors.__doc__.split("```")[1]
    parents: list[tuple[int, str]] = []
    for branch, indent, name in DRAWN.findall(tree):
        depth = len(branch) + len(indent)
        parents = [(at, parent) for at, parent in parents if at < depth]
        yield name, parents[-1][1] if parents else None
        parents.append((depth, name))


def test_the_tree_in_the_docstring_is_the_one_in_the_code():
    assert dict(drawn()) == {
        found.__name__: found.__bases__[0].__name__ if issubclass(found.__bases__[0], DulyError) else None
        for found in classes()
    }


def test_every_error_can_be_matched_by_a_code_of_its_own():
    codes = [found.code for found in classes() if found is not TaskStopped]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_every_error_is_public():
    assert {found.__name__ for found in classes()} <= set(dir(duly))
    assert all(getattr(duly, found.__name__) is found for found in classes())


def test_what_asks_code_to_stop_is_not_caught_as_an_error():
    assert not issubclass(TaskStopped, Exception)
    assert TaskStopped("drain").reason == "drain"


@pytest.mark.parametrize(
    "error",
    [
        TaskFailed("no", task_id="id", cause="failure", attempts=2, value=[1], error=ErrorData(type="E", message="m")),
        TaskDied("gone", signal=9, task_id="id"),
        OutOfMemory("full", peak=7),
        PayloadInvalid("wrong", "$.a"),
        TaskStopped("cancel"),
    ],
)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_being_copied_and_sent_to_another_process(error, again):
    same = again(error)
    assert type(same) is type(error)
    assert str(same) == str(error)
    assert vars(same) == vars(error)


def test_what_went_wrong_in_the_task_is_shown_below_the_error():
    error = TaskFailed("no", error=ErrorData(type="E", message="m", traceback="Traceback:\n  line\n"))
    assert error.__notes__ == ["in the task's own process:\nTraceback:\n  line"]
    assert not hasattr(TaskFailed("no", error=ErrorData(type="E", message="m")), "__notes__")


def test_a_bad_payload_says_where():
    assert str(PayloadInvalid("expected int", "$.emails[3]")) == "expected int at $.emails[3]"
    assert str(PayloadInvalid("too large")) == "too large"
