"""What every story begins with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import marked
from tests.place import Place, Project, url_for


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store and no worker yet; with `ON_BOTH` once for each kind of store."""
    place = Place(tmp_path, url=url_for(request))
    yield place
    place.end()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    for pid in marked(project.mark):
        os.kill(pid, signal.SIGKILL)
