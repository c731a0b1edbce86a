"""Schema steps, numbered and never changed once released.

An `expand` step only adds, so older code goes on working with the result; a `contract` step takes away, so it does not.
A store with an unknown contract step is refused, one with an unknown expand step is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, Literal, NamedTuple

from duly.errors import StoreTooNew

_NAME = re.compile(r"(\d{4})_(expand|contract)_(\w+)\.sql")


class Migration(NamedTuple):
    """One step: its number, whether it expands or contracts, its name and its SQL."""

    number: int
    kind: Literal["expand", "contract"]
    name: str
    sql: str


def load(package: str) -> list[Migration]:
    """Return the steps in a package's folder `migrations`, in order."""
    steps: list[Migration] = []
    for file in resources.files(package).joinpath("migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            kind: Literal["expand", "contract"] = "expand" if match[2] == "expand" else "contract"
            steps.append(Migration(int(match[1]), kind, match[3], file.read_text("utf-8")))
    return sorted(steps)


def refuse_newer(taken: Iterable[Sequence[Any]], steps: Iterable[Migration], where: object) -> None:
    """Raise `StoreTooNew` if a step was taken, as (number, kind, name ...), that contracts and is not among these."""
    known = {step.number for step in steps}
    for number, kind, name, *_ in taken:
        if number not in known and kind == "contract":
            raise StoreTooNew(f"{where}: was changed by a newer duly ({number:04}_{name}); install that one here")
