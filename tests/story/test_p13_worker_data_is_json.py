"""P13: data from the store is JSON; it is never unpickled, imported by name or used to rebuild a class."""

from __future__ import annotations

import base64
import os
import pickle
import re
from pathlib import Path

import apsw
import pytest

import duly
from tests.place import ROOT


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_an_action_is_looked_up_among_those_declared_and_never_imported(place):
    place.start()
    tasks = [
        place.app.submit(place.app.passport(name, "touch pwned"))
        for name in ("os:system", "subprocess:run", "tests.story.shop:echo")
    ]
    place.app.submit("shop:echo", 1).result(timeout=30)
    assert [task.refresh().state for task in tasks] == ["ready"] * 3


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Evil()).decode("latin-1"),
        base64.b64encode(pickle.dumps(Evil())).decode(),
        '{"py/reduce": [{"py/function": "os.system"}, "touch pwned"]}',
        '{"__class__": "os.system", "value": NaN}',
        "not json",
        "",
    ],
)
def test_a_payload_that_was_tampered_with_is_data_or_invalid(place, payload):
    task = place.app.submit("shop:echo", {"value": 1})
    place.app.close()
    connection = apsw.Connection(str(place.folder / "duly.db"))
    connection.execute("update task set payload = ?", (payload,))
    connection.close()
    place.app = duly.App(place.url)
    place.start()
    assert place.app.handle(task.id).wait(30).cause == "invalid"
    assert not list(place.folder.glob("**/pwned")) + list(ROOT.glob("pwned"))


def test_an_error_is_told_as_text_whatever_it_calls_itself(place):
    place.start()
    with pytest.raises(duly.TaskFailed) as caught:
        place.app.submit(place.app.passport("shop:flaky", 9, max_attempts=1)).result(timeout=30)
    assert type(caught.value) is duly.TaskFailed
    assert caught.value.error.type == "ValueError"
    assert isinstance(caught.value.error.type, str)


def test_nothing_in_duly_can_rebuild_objects():
    own_program = r"(?!exec\(code, module.__dict__\))"  # the user's own file, by which it was started
    banned = re.compile(rf"\b(pickle|marshal|shelve|dill|cloudpickle|jsonpickle|yaml)\b|{own_program}\b(eval|exec)\(")
    for path in (ROOT / "src" / "duly").rglob("*.py"):
        code = re.sub(r'""".*?"""|#[^\n]*', "", Path(path).read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not banned.search(code), path
