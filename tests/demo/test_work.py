import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from duly.app import TaskInfo
from duly.demo.work import TRIALS, Trial, sources, tried

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def info(trial: Trial, **other: object) -> TaskInfo:
    """What is known of a trial's task that ended as it should."""
    kept = TaskInfo(
        *("id", trial.name, 1, "default", trial.state, trial.cause, "medium", trial.attempts),
        *(BEGAN, None, BEGAN, BEGAN + timedelta(seconds=1)),
    )
    return kept._replace(**other)


@pytest.mark.parametrize("trial", TRIALS)
def test_a_promise_is_kept_if_it_ended_as_it_should_in_time(trial: Trial) -> None:
    assert tried(trial, info(trial)).kept
    assert tried(trial, info(trial)).seconds == 1


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize(
    "other",
    [
        {"state": "cancelled"},
        {"cause": "error"},
        {"attempts": 2},
        {"ended_at": BEGAN + timedelta(minutes=1)},
    ],
)
def test_a_promise_is_broken_if_anything_is_otherwise(trial: Trial, other: dict[str, object]) -> None:
    assert not tried(trial, info(trial, **other)).kept


def test_a_verdict_can_be_told_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(tried(TRIALS[0], info(TRIALS[0]))))["action"] == "trial:endless"


def test_sources_are_the_python_files_of_a_folder_but_for_what_was_installed_into_it(tmp_path: Path) -> None:
    for name in ("b.py", "a/c.py", "a/text.txt", "__pycache__/d.py", "site-packages/e.py", ".git/f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dangling.py").symlink_to("nowhere")
    (tmp_path / os.fsdecode(b"not-utf-8-\xff.py")).touch()
    assert sources(str(tmp_path)) == [str(tmp_path / "b.py"), str(tmp_path / "a" / "c.py")]
