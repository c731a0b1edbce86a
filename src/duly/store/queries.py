"""Queries as files: one `.sql` file each, the same names for every database, loaded once."""

from __future__ import annotations

import re
from importlib import resources

import msgspec

_STRUCT = re.compile(r"^-- rows: (\w+)$", re.MULTILINE)
_READ = re.compile(r"(\w+\.value) ->> @(\w+)")
_FIELD = re.compile(r"@(\w+)")


def load(package: str, structs: dict[str, type[msgspec.Struct]]) -> dict[str, str]:
    """Return the queries of a package's folder `sql` by name.

    A query that reads arrays of a struct's fields says so in a line `-- rows: Change`, and then names them: `r.value
    ->> @state` becomes `json_extract(r.value, '$[7]')`, which takes two thirds of the time of `r.value ->> 7`.
    """
    queries: dict[str, str] = {}
    for file in resources.files(package).joinpath("sql").iterdir():
        if file.name.endswith(".sql"):
            queries[file.name.removesuffix(".sql")] = _numbered(file.read_text("utf-8"), structs)
    return queries


def _numbered(sql: str, structs: dict[str, type[msgspec.Struct]]) -> str:
    named = _STRUCT.search(sql)
    if named is None:
        return sql
    places = {field: str(place) for place, field in enumerate(structs[named[1]].__struct_fields__)}
    sql = _READ.sub(lambda match: f"json_extract({match[1]}, '$[{places[match[2]]}]')", sql)
    return _FIELD.sub(lambda match: places[match[1]], sql)
