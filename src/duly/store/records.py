"""What stores have in common where they hand tasks to each other: rows as records, and records as rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from duly.core.keeping import NEVER, Aged
from duly.core.record import COLUMNS, MOST_BYTES, Record, Run
from duly.store.apart import Reference, fits, named

Row: TypeAlias = tuple[Any, ...]
Columns: TypeAlias = dict[str, Any]

_REASON, _VALUE, _PAYLOAD = (COLUMNS.index(name) for name in ("reason", "value", "payload"))


def of_one_load(rows: Sequence[Row]) -> list[Row]:
    """Return those of some rows that can be handed over at once; their last column tells what more they have."""
    room = MOST_BYTES
    for place, row in enumerate(rows):
        room -= row[-1] + sum(_length(row[column]) for column in (_VALUE, _PAYLOAD))
        if place and room < 0:
            return list(rows[:place])
    return list(rows)


def _length(text: str | None) -> int:
    if text is None:
        return 0
    reference = named(text)
    return len(text) if reference is None else reference.size


def records(rows: Sequence[Row], runs: Sequence[Row], whole: Callable[[int, Reference], str]) -> list[Record]:
    """Return records of rows of tasks, each with its size, and rows of runs; `whole` reads what is kept apart."""
    told: dict[int, list[Run]] = {row[0]: [] for row in rows}
    for key, *run in runs:
        if key in told:
            told[key].append(Run(*run))
    return [_record(list(row[:-1]), told[row[0]], whole) for row in rows]


def _record(row: list[Any], runs: list[Run], whole: Callable[[int, Reference], str]) -> Record:
    for column in (_VALUE, _PAYLOAD):
        reference = named(row[column]) if row[column] is not None else None
        if reference is not None:
            row[column] = whole(row[0], reference)
    if row[_REASON] is not None:
        row[_REASON] = row[_REASON].replace("\0", "\ufffd")
    return Record(*[*row, runs])


def unknown(records: Sequence[Record], survey: Callable[[int, int, int], Sequence[Aged]]) -> list[Record]:
    """Return those of some records, in their order, that are not there yet."""
    if not records:
        return []
    there = {aged.key for aged in survey(records[0].key - 1, records[-1].key, NEVER)}
    return [record for record in records if record.key not in there]


def row_of(record: Record, keep: Callable[[str], str]) -> Columns:
    """Return the row of a record's task, with each large text replaced by what `keep` returns for it."""
    row = {name: getattr(record, name) for name in COLUMNS}
    for name in ("value", "payload"):
        if row[name] is not None and not fits(row[name]):
            row[name] = keep(row[name])
    return row


def chunks_of(rows: Sequence[Columns]) -> list[int]:
    """Return the chunks that rows name."""
    texts = [row[name] for row in rows for name in ("value", "payload") if row[name] is not None]
    return [number for text in texts if (reference := named(text)) is not None for number in reference.chunks]


def runs_of(records: Sequence[Record]) -> list[Columns]:
    """Return the rows of records' runs."""
    return [{"task": record.key, **run._asdict()} for record in records for run in record.runs]
