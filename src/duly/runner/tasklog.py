"""Log records that say which task they are of."""

from __future__ import annotations

import logging
from typing import Any

from duly.runner.context import CURRENT, HERE


class TaskFilter(logging.Filter):
    """Lets every record pass, and gives it `task_id`, `action` and `attempt`: `-`, `-` and 0 outside of a task.

    In a task's process records have them anyway. Add it to a handler whose format names them, so that this works in
    the program that submits, too.

    >>> handler = logging.StreamHandler()
    >>> handler.addFilter(duly.TaskFilter())
    >>> handler.setFormatter(logging.Formatter("%(action)s %(task_id)s: %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark the record, and let it pass."""
        mark(record)
        return True


def mark(record: logging.LogRecord) -> None:
    """Give a record what it lacks; what its maker has said by `extra` stays."""
    own = record.__dict__
    task = CURRENT.get(None) or HERE.task
    own.setdefault("task_id", "-" if task is None else task.id)
    own.setdefault("action", "-" if task is None else task.action)
    own.setdefault("attempt", 0 if task is None else task.attempt)


def mark_all() -> None:
    """Have every record of this process marked, whatever loggers and handlers there will be.

    Not by a factory of records: logging refuses an `extra` of the name of what a factory has put there.
    """
    make = logging.Logger.makeRecord

    def make_marked(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(self, *args, **kwargs)
        mark(record)
        return record

    logging.Logger.makeRecord = make_marked  # type: ignore[method-assign]
