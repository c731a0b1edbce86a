"""Settings: arguments of `App` > environment (`DULY_*`) > `[tool.duly]` in pyproject.toml > defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from duly.core import units, urls
from duly.errors import NotAvailable, OptionInvalid

_LATER = {
    "max_cpu_pressure": "holding work back by load comes with actions over time",
    "max_memory_pressure": "holding work back by load comes with actions over time",
    "max_io_pressure": "holding work back by load comes with actions over time",
    "memory_budget": "holding work back by load comes with actions over time",
    "deadline_margin": "deadlines come with actions over time",
    "addons": "addons come with flows",
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of an App.

    `url` names the store, `app` the App for the command line (`module:app`). `poll` is how often a node looks by
    itself, `drain_timeout` how long it lets running tasks go on when it is to end (seconds). `max_payload` bounds a
    payload and a result (bytes). `concurrency` is the number of runners, by default that of CPU cores. A runner is
    replaced after `recycle_tasks` tasks, or when it has grown by `recycle_growth` (bytes). Tasks are kept for `keep`
    seconds after their end, failed ones for `keep_failed` (None: for good), unless their action says otherwise. Into
    `status_file` a worker writes each second how it is, for `duly doctor --node`.

    For a store on a server: its tables are in `schema`, unless the url says `?schema=`. A node that has not been heard
    for `lease` seconds is dead to all others; before that it has stopped by itself. A server that may lose what it has
    acknowledged (`fsync` or `synchronous_commit` is off) is refused, unless it is `allow_unsafe`.
    """

    url: str = "sqlite:///duly.db"
    app: str | None = None
    poll: float = 1.0
    drain_timeout: float = 30.0
    max_payload: int = 16 * 1024 * 1024
    concurrency: int = 0
    recycle_tasks: int = 100_000
    recycle_growth: int = 256 * 1024 * 1024
    keep: float | None = 7 * 86_400.0
    keep_failed: float | None = 30 * 86_400.0
    status_file: str | None = None
    schema: str = "duly"
    lease: float = 30.0
    allow_unsafe: bool = False

    def __post_init__(self) -> None:
        if not 0.01 <= self.poll <= 60:
            raise OptionInvalid(f"poll={self.poll:g}: between 0.01 and 60 seconds")
        if not 1 <= self.max_payload <= MOST_PAYLOAD:
            raise OptionInvalid(f"max_payload={self.max_payload}: between 1 byte and 64 MiB")
        if not 0 <= self.concurrency <= MOST_RUNNERS:
            raise OptionInvalid(f"concurrency={self.concurrency}: between 1 and {MOST_RUNNERS}")
        if self.recycle_tasks < 1:
            raise OptionInvalid(f"recycle_tasks={self.recycle_tasks}: a whole number from 1")
        if not 2 <= self.lease <= 3600:
            raise OptionInvalid(f"lease={self.lease:g}: between 2 seconds and an hour")
        urls.check_schema(self.schema)

    def __repr__(self) -> str:
        values = {**msgspec.structs.asdict(self), "url": urls.shown(self.url)}
        return f"Config({', '.join(f'{name}={value!r}' for name, value in values.items())})"


MOST_PAYLOAD = 64 * 1024 * 1024
MOST_RUNNERS = 1_000
_SECONDS = {"poll", "drain_timeout", "lease"}
_KEPT = {"keep", "keep_failed"}
_SIZES = {"max_payload", "recycle_growth"}
_COUNTS = {"concurrency", "recycle_tasks"}
_FLAGS = {"allow_unsafe"}


def load(arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Config:
    """Return the settings; raises `OptionInvalid` for what is unknown or cannot be read."""
    environment = os.environ if environment is None else environment
    names = Config.__struct_fields__
    from_environment = {
        name: environment[f"DULY_{name.upper()}"] for name in names if f"DULY_{name.upper()}" in environment
    }
    given = {**_from_file(os.getcwd()), **from_environment, **arguments}
    return Config(**{name: _read(name, value) for name, value in given.items()})


def _read(name: str, value: Any) -> Any:
    if name in _LATER:
        raise NotAvailable(f"the setting {name!r} is not in this release yet: {_LATER[name]}")
    if name not in Config.__struct_fields__:
        from difflib import get_close_matches  # noqa: PLC0415 - as all here that few need: imports are what a start takes

        near = get_close_matches(name, Config.__struct_fields__, 1)
        raise OptionInvalid(f"there is no setting {name!r}" + (f"; {near[0]!r} is meant?" if near else ""))
    if name in _SECONDS:
        return units.seconds(value, name)
    if name in _KEPT:
        return None if value is None or str(value).lower() == "none" else units.seconds(value, name)
    if name in _SIZES:
        return units.size(value, name)
    if name in _COUNTS:
        return _count(name, value)
    if name in _FLAGS:
        return _flag(name, value)
    if not isinstance(value, str):
        raise OptionInvalid(f"{name}={value!r}: text is wanted")
    return value


def _count(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool | float):
            raise TypeError
        count = int(value)
    except (TypeError, ValueError):
        raise OptionInvalid(f"{name}={value!r}: a whole number is wanted") from None
    if count < 1:
        raise OptionInvalid(f"{name}={count}: a whole number from 1" + (_CORES if name == "concurrency" else ""))
    return count


def _flag(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool | str) and str(value).lower() in known:
        return known[str(value).lower()]
    raise OptionInvalid(f"{name}={value!r}: true or false is wanted")


_CORES = "; left out, it is the number of CPU cores"


def _from_file(folder: str) -> dict[str, Any]:
    """The table `[tool.duly]` of the nearest pyproject.toml, from this folder upwards."""
    while not os.path.isfile(file := os.path.join(folder, "pyproject.toml")):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return {}
    return _table(file)


def _table(file: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415

    try:
        with open(file, "rb") as opened:
            content = tomllib.load(opened)
    except (OSError, ValueError) as error:
        raise OptionInvalid(f"{file}: {error}") from None
    table = content.get("tool", {}).get("duly", {})
    return dict(table)
