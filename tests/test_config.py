from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duly.config import Config, load
from duly.errors import NotAvailable, OptionInvalid


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)


def test_without_anything_said_it_is_the_defaults() -> None:
    assert load({}, {}) == Config()


def test_arguments_go_before_the_environment_and_that_before_the_file(folder: Path) -> None:
    write(folder, "[tool.duly]\nurl = 'sqlite:///file'\npoll = 2\nconcurrency = 3\n")
    environment = {"DULY_POLL": "500ms", "DULY_CONCURRENCY": "4", "OTHER": "x"}
    config = load({"concurrency": 5}, environment)
    assert (config.url, config.poll, config.concurrency) == ("sqlite:///file", 0.5, 5)


def test_the_file_is_looked_for_upwards_and_only_the_nearest_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "[tool.duly]\npoll = 2\n")
    (folder / "below" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder / "below" / "deep")
    assert load({}, {}).poll == 2
    write(folder / "below", "[project]\nname = 'x'\n")
    assert load({}, {}).poll == 1


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    write(folder, "not toml at all")
    with pytest.raises(OptionInvalid, match=r"pyproject\.toml"):
        load({}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("poll", 0),
        ("poll", 61),
        ("poll", "soon"),
        ("drain_timeout", -1),
        ("max_payload", 0),
        ("max_payload", "65MiB"),
        ("concurrency", -1),
        ("concurrency", 1001),
        ("concurrency", True),
        ("concurrency", "many"),
        ("concurrency", None),
        ("url", 5),
        ("keep", "long"),
        ("keep_failed", -1),
        ("lease", 1.9),
        ("lease", "2h"),
        ("lease", "soon"),
        ("schema", "Duly"),
        ("schema", "pg_duly"),
        ("schema", 5),
        ("allow_unsafe", "perhaps"),
        ("allow_unsafe", 2),
        ("allow_unsafe", None),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(OptionInvalid, match=name):
        load({name: value}, {})


def test_an_unknown_setting_is_refused_and_the_one_meant_is_named() -> None:
    with pytest.raises(OptionInvalid, match=r"there is no setting 'concurency'; 'concurrency' is meant"):
        load({"concurency": 1}, {})
    with pytest.raises(OptionInvalid, match=r"there is no setting 'zebra'$"):
        load({"zebra": 1}, {})


def test_an_unknown_name_in_the_file_is_refused_too(folder: Path) -> None:
    write(folder, "[tool.duly]\npol = 1\n")
    with pytest.raises(OptionInvalid, match="'poll' is meant"):
        load({}, {})


@pytest.mark.parametrize("name", ["max_cpu_pressure", "addons"])
def test_a_setting_to_come_says_so(name: str) -> None:
    with pytest.raises(NotAvailable, match=f"the setting '{name}' is not in this release yet"):
        load({name: 1}, {})


def test_what_is_kept_for_good_is_said_by_none() -> None:
    assert (load({"keep": None}, {}).keep, load({}, {"DULY_KEEP": "none"}).keep) == (None, None)
    assert load({"keep": 0, "keep_failed": "1h"}, {}) == Config(keep=0, keep_failed=3600)


def test_units_are_read_as_people_write_them() -> None:
    config = load({"drain_timeout": "2m", "max_payload": "1KiB"}, {"DULY_CONCURRENCY": "7"})
    assert (config.drain_timeout, config.max_payload, config.concurrency) == (120.0, 1024, 7)


def test_what_a_store_on_a_server_needs_is_read_as_people_write_it() -> None:
    environment = {"DULY_LEASE": "1m", "DULY_SCHEMA": "tasks", "DULY_ALLOW_UNSAFE": "True"}
    config = load({}, environment)
    assert (config.lease, config.schema, config.allow_unsafe) == (60.0, "tasks", True)
    assert load({"allow_unsafe": False}, environment).allow_unsafe is False
    assert [load({}, {"DULY_ALLOW_UNSAFE": text}).allow_unsafe for text in ("yes", "1", "no", "0")] == [
        True,
        True,
        False,
        False,
    ]
