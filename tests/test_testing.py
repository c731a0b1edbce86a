"""`duly.testing` as users have it: pytest runs in a project of theirs, with real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from duly.core.task import State
from duly.store.sqlite.store import SqliteStore
from duly.testing import FakeClock
from duly.testing.store_hands import HOUR, Hands

ROOT = Path(__file__).resolve().parent.parent

SHOP = """
import datetime
import signal
import duly

app = duly.App("sqlite:///shop.db")

@app.action("email:send")
def send(to: str, text: str = "Thank you!", at: datetime.date | None = None) -> str:
    return f"{text}, {to}"

@app.action("order:take", max_attempts=3, retry=duly.Backoff(first=0))
def take(task: duly.Task, customer: str) -> int:
    if task.attempt < 3:
        raise ValueError("not yet")
    send.submit(customer)
    return task.attempt

@app.action("order:stall", grace=1)
def stall() -> None:
    while True:
        signal.pause()
"""


class Project:
    """A project of a user's, and its tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("shop.py", SHOP)
        self.write(
            "pytest.ini", "[pytest]\nduly_app = shop:app\naddopts = -q -p no:cacheprovider\nfilterwarnings = error\n"
        )
        self.autoload = False

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(textwrap.dedent(text))

    def test(self, text: str, *, fails: bool = False) -> str:
        """Run these tests; return what pytest said."""
        self.write("test_shop.py", text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PY", "COV"))}
        given = [] if self.autoload else ["-p", "duly.testing.plugin"]
        more = {} if self.autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *given], cwd=self.folder, capture_output=True, text=True, timeout=60,
            env={**kept, **more, "PYTHONPATH": f"{ROOT}/src{os.pathsep}{self.folder}/installed"}, check=False,
        )  # fmt: skip
        assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_fixtures_run_tasks_in_real_processes_on_a_store_of_the_tests_own(project: Project) -> None:
    project.test("""
        import os
        import shop

        def test_worker(duly_app, duly_worker):
            assert duly_app is shop.app
            assert shop.send.submit("ann").result(timeout=20) == "Thank you!, ann"

        def test_idle(duly_app, run_until_idle, assert_submitted):
            assert list(duly_app.tasks()) == []
            handle = shop.take.submit("ann")
            later = shop.send.using(delay="1h").submit("bob")
            elsewhere = duly_app.submit("email:strange", 7)
            assert [task.id for task in run_until_idle()] == [elsewhere.id, later.id]
            assert handle.result(timeout=0) == 3
            sent = assert_submitted("email:send", to="ann")
            assert sent.result() == "Thank you!, ann"

        def test_afterwards():
            assert shop.app.config.url == "sqlite:///shop.db"
            assert not os.path.exists("shop.db")
    """)


def test_what_still_runs_at_the_end_of_a_test_is_stopped(project: Project) -> None:
    project.test("""
        import time
        import duly, pytest, shop

        def test_stalls(duly_worker):
            handle = shop.stall.submit()
            next(event for event in handle.events() if event.kind == "start")

        def test_idle(duly_app, duly_worker, run_until_idle):
            handle = shop.stall.submit()
            next(event for event in handle.events() if event.kind == "start")
            with pytest.raises(duly.WaitTimeout, match="not idle after 0.1 s:\\n  order:stall  running  attempt 1"):
                run_until_idle(duly_app, seconds=0.1)
    """)


def test_what_was_submitted_is_found_by_values_of_its_signature(project: Project) -> None:
    project.test("""
        import datetime
        import shop

        def test_found(duly_app, assert_submitted):
            day = datetime.date(2030, 1, 2)
            first = shop.send.submit("ann", at=day)
            second = duly_app.submit("email:send", {"to": "bob", "text": "Hello"})
            strange = duly_app.submit("email:strange", {"deep": [1, {"a": None}]})
            assert assert_submitted("email:send", to="ann", text="Thank you!", at=day).id == first.id
            assert assert_submitted("email:send", at="2030-01-02").id == first.id
            assert assert_submitted(shop.send, at=None).id == second.id
            assert assert_submitted("email:send").id == second.id
            assert assert_submitted("email:strange", deep=[1, {"a": None}]).id == strange.id
            assert assert_submitted("email:strange").id == strange.id
    """)


def test_a_task_that_is_missing_is_told_with_what_was_submitted_instead(project: Project) -> None:
    said = project.test(
        """
        import shop

        def test_missing(duly_app, assert_submitted):
            shop.send.submit("bob")
            duly_app.submit("email:strange", 7)
            assert_submitted("email:send", to="ann", text="Hello")

        def test_nothing(assert_submitted):
            assert_submitted("email:send")
        """,
        fails=True,
    )
    assert "AssertionError: no email:send(to='ann', text='Hello') was submitted; these were:" in said
    assert "  email:strange  7  ready" in said
    assert '  email:send  {"to":"bob"}  ready' in said
    assert "AssertionError: no email:send() was submitted; nothing was." in said


def test_the_app_may_be_given_by_a_fixture_or_made_by_a_function(project: Project) -> None:
    project.write(
        "factory.py", "import duly\n\ndef make():\n    app = duly.App()\n    app.action('a:b')(len)\n    return app\n"
    )
    project.write("pytest.ini", "[pytest]\nduly_app = factory:make()\n")
    project.test("""
        import pytest, shop

        class TestFixture:
            @pytest.fixture
            def duly_project_app(self):
                return shop.app

            def test_given(self, duly_app):
                assert duly_app is shop.app

        def test_made(duly_app):
            assert [action.name for action in duly_app.actions] == ["a:b"]
    """)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("", "which App? Set duly_app = module:app for pytest, or override the fixture duly_project_app"),
        ("duly_app = shop", "bad App 'shop': module:attribute or module:function()"),
        ("duly_app = shop:send", "shop:send is no duly.App, but <duly.Action email:send>"),
        ("duly_app = nowhere:app", "No module named 'nowhere'"),
        ("duly_app = shop:nope", "there is no App 'shop:nope': shop has no 'nope'; it has shop:app"),
    ],
)
def test_an_app_that_cannot_be_found_is_told_with_the_cure(project: Project, named: str, told: str) -> None:
    project.write("pytest.ini", f"[pytest]\n{named}\n")
    assert told in project.test("def test_it(duly_app): ...", fails=True)


def test_pytest_loads_the_plugin_by_itself_and_nothing_of_duly_with_it(project: Project) -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        entry_points = tomllib.load(file)["project"]["entry-points"]["pytest11"]
    lines = "\n".join(f"{name} = {place}" for name, place in entry_points.items())
    project.write("installed/user_duly-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: user-duly\nVersion: 1\n")
    project.write("installed/user_duly-1.dist-info/entry_points.txt", f"[pytest11]\n{lines}\n")
    project.autoload = True
    project.test("""
        import sys

        def test_loaded(request):
            assert request.config.pluginmanager.has_plugin("duly")
            assert {"duly", "duly.testing", "duly.testing.plugin"} == {m for m in sys.modules if m.startswith("duly")}
            assert "apsw" not in sys.modules and "msgspec" not in sys.modules

        def test_usable(duly_app):
            assert duly_app.config.url.startswith("sqlite:////")
    """)


def test_a_task_falls_due_when_a_test_moves_the_clock_of_its_store(tmp_path: Path) -> None:
    clock = FakeClock("2030-01-01T00:00Z")
    store = SqliteStore(f"{tmp_path}/tasks.db", clock)
    store.open()
    hands = Hands(store)
    task = hands.submit(state=State.SCHEDULED, run_at=clock() + HOUR)

    clock.advance("59m")
    assert hands.claim() == []
    clock.advance("1m")
    assert [held.id for held in hands.claim()] == [task]
    assert clock.now.isoformat() == "2030-01-01T01:00:00+00:00"
    store.close()
