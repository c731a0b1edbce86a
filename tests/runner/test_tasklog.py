from __future__ import annotations

import logging

import pytest

from duly.runner.tasklog import TaskFilter


def test_outside_of_a_task_a_format_that_names_one_does_not_fail(caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(TaskFilter())
    record = logging.makeLogRecord({"msg": "hello"})

    assert handler.filter(record)
    assert logging.Formatter("%(message)s %(task_id)s %(action)s %(attempt)d").format(record) == "hello - - 0"


def test_what_the_user_has_said_by_the_same_name_stays() -> None:
    record = logging.makeLogRecord({"task_id": "mine", "action": None})

    assert TaskFilter().filter(record)
    assert (record.task_id, record.action, record.attempt) == ("mine", None, 0)  # type: ignore[attr-defined]
