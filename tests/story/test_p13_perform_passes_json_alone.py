"""P13: what comes from another process is JSON; it is never unpickled, imported by name, or used to rebuild a class."""

import os
import pickle
import sys

import pytest

import duly
from tests.runner import targets


class Trap:
    """An object that leaves a trace wherever it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("value", [Trap("x"), {"deep": [Trap("x")]}, b"bytes", (1 + 2j), {1: "key"}, {1, 2}])
def test_options_that_are_not_json_never_leave_the_caller(value):
    with pytest.raises(duly.PayloadInvalid):
        duly.perform(targets.echo, value)


def test_a_result_that_is_not_json_never_reaches_the_caller():
    with pytest.raises(duly.TaskFailed, match="is not a JSON value") as caught:
        duly.perform(targets.answer, "object")

    assert caught.value.cause == "invalid"


def test_a_pickle_that_code_sends_to_its_caller_is_not_loaded(tmp_path):
    trace = tmp_path / "trace"
    pickled = pickle.dumps(Trap(str(trace)))
    pickle.loads(pickled)  # so it would be seen
    trace.rmdir()

    with pytest.raises(duly.TaskDied):
        duly.perform(targets.send_everywhere, pickled.decode("latin-1"), timeout=30)

    assert not trace.exists()


def test_no_class_of_the_other_process_is_rebuilt(tmp_path):
    path = tmp_path / "foreign.py"
    path.write_text("class Foreign(Exception):\n    pass\ndef task(options):\n    raise Foreign('from there')\n")

    with pytest.raises(duly.TaskFailed) as caught:
        duly.perform(path)

    assert type(caught.value) is duly.TaskFailed
    assert caught.value.error.type == "foreign.Foreign"
    assert caught.value.__cause__ is None
    assert "foreign" not in sys.modules


@pytest.mark.parametrize(
    "value",
    [
        {"__class__": "os.system", "__reduce__": ["os.system", ["true"]]},
        {"py/object": "subprocess.Popen"},
        {"$ref": "file:///etc/passwd", "type": "exec"},
        "!!python/object/apply:os.system ['true']",
        "__import__('os').getpid()",
    ],
)
def test_what_looks_like_code_stays_a_value(value):
    assert duly.perform(targets.echo, value).value == value
