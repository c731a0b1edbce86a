"""The pages of the documentation do what they show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from duly import errors
from tests.server import Databases, Server
from tests.snippets import blocks

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "docs/guide.md", "docs/testing.md", "docs/operations.md"]
POSTGRESQL = "docs/postgresql.md"
SCALING = "docs/scaling.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_of_a_page_does_what_it_shows(page: str, tmp_path: Path) -> None:
    run_snippets(page, tmp_path)


def test_every_snippet_about_postgresql_does_what_it_shows(own_server: Server, tmp_path: Path) -> None:
    for statement in (
        "create role duly login",
        "create role shop login in role duly",
        "create database shop owner duly",
    ):
        own_server.run(statement)
    own_server.run("create table orders (number integer)", database="shop")
    own_server.run("grant insert on orders to shop", database="shop")
    own_server.run(f"alter role duly password '{own_server.password}'")
    own_server.run(f"alter role shop password '{own_server.password}'")
    (url,) = re.findall(r"^export DULY_URL='(.*)'$", (ROOT / POSTGRESQL).read_text("utf-8"), re.MULTILINE)
    there = {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(own_server.port), "PGPASSWORD": own_server.password}
    run_snippets(POSTGRESQL, tmp_path, DULY_URL=url, **there)
    assert own_server.run("select number from orders", database="shop") == [(7,)]


def test_every_snippet_about_scaling_does_what_it_shows(server: Databases, tmp_path: Path) -> None:
    names = [server.create_database() for _ in range(2)]
    one, two = map(server.url, names)
    try:
        run_snippets(SCALING, tmp_path, MAIL_URL=one, REPORTS_URL=two, PARTS=f"{one}?schema=part {two}?schema=part")
    finally:
        for name in names:
            server.drop_database(name)


def run_snippets(page: str, place: Path, **surroundings: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PY", "COV", "PG"))}
    tools = os.path.dirname(sys.executable)
    done = subprocess.run(
        [sys.executable, ROOT / "tests/snippets.py", ROOT / page], cwd=place, check=False,
        env={**kept, "PYTHONPATH": f"{ROOT}/src", "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1",
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "duly.testing.plugin", **surroundings},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", [*PAGES, POSTGRESQL, SCALING])
def test_a_page_has_snippets_and_its_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert [block for block in blocks(text) if block.language in ("python", "pycon", "console")]
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def test_operations_say_of_every_error_what_is_to_be_done() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DulyError)]
    above = {errors.DulyError, errors.TaskError, errors.InvalidInput, errors.StoreError}
    assert rows == {kind.code: kind.__name__ for kind in kinds if kind not in above}
    assert all(f"`{kind.code}`" in page for kind in kinds)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("```pycon\n>>> 1 + 1\n3\n```", "Expected:"),
        ("```python\nprint(1 + 1)  # 3\n```", "printed was\n2"),
        ("```console\n$ echo two\nthree\n```", "printed was\ntwo"),
        ("```console\n$ false\n```", "ended with 1"),
    ],
)
def test_a_snippet_that_shows_something_else_is_found(shown: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(shown + "\n")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/snippets.py", "page.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
