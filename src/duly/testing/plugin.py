"""The pytest plugin. Everybody's runs load it, so it imports nothing of duly before a fixture is used."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from duly.app import App
    from duly.handle import Handle
    from duly.listing import TaskInfo
    from duly.working import Working


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option by which the App is named."""
    parser.addini("duly_app", "the App of the fixture duly_app: module:attribute or module:function()", default="")


@pytest.fixture
def duly_project_app(pytestconfig: pytest.Config) -> App:
    """The project's App, as the ini option `duly_app` names it; override it where that does not fit."""
    from duly.errors import OptionInvalid  # noqa: PLC0415
    from duly.testing.users import find_app  # noqa: PLC0415

    name = pytestconfig.getini("duly_app")
    if not name:
        raise OptionInvalid("which App? Set duly_app = module:app for pytest, or override the fixture duly_project_app")
    root = str(pytestconfig.rootpath)
    if root not in sys.path:
        sys.path.append(root)
    return find_app(name)


@pytest.fixture
def duly_app(duly_project_app: App, tmp_path: Path) -> Iterator[App]:
    """The project's App on a new, empty store of its own for as long as the test takes."""
    with duly_project_app.moved(f"sqlite:///{tmp_path}/duly.db"):
        yield duly_project_app


@pytest.fixture
def duly_worker(duly_app: App) -> Iterator[Working]:
    """A worker on `duly_app` whose runners are ready; what still runs at the end of the test is stopped."""
    with duly_app.worker(2) as working:
        yield working
        working.hurry()


@pytest.fixture
def run_until_idle(duly_app: App) -> Callable[..., list[TaskInfo]]:
    """`duly.testing.run_until_idle`, of `duly_app` unless another App is given."""
    from duly.testing import users  # noqa: PLC0415

    def run(app: App = duly_app, **bounds: Any) -> list[TaskInfo]:
        return users.run_until_idle(app, **bounds)

    return run


@pytest.fixture
def assert_submitted(duly_app: App) -> Callable[..., Handle[Any]]:
    """`duly.testing.assert_submitted` of `duly_app`: called with an action and arguments."""
    from duly.testing import users  # noqa: PLC0415

    return functools.partial(users.assert_submitted, duly_app)
