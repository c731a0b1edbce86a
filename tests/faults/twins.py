"""Copies of duly in which one guard is missing: what the tests must notice.

A guard is a few words of the source, and what stands there in its broken twin. Text that is not there any more is an
error: then the guard has moved, and its row here has to follow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.place import ROOT

SQL = "src/duly/store/sqlite/sql"
SERVER = "src/duly/store/postgres"
ENGINE = "src/duly/engine"
FAILED = 1
"""pytest's exit code where tests have run, and some have failed."""


class Cut(NamedTuple):
    """One text of a file, and what is put into its place."""

    file: str
    text: str
    instead: str = ""


class Guard(NamedTuple):
    """What is taken away, and the pytest arguments of tests that are enough to notice that."""

    name: str
    cut: Cut
    tests: tuple[str, ...]


CONTRACT = "tests/store/test_contract.py"
ON_SERVER = "tests/store/test_postgres_contract.py"
ANSWERS = "tests/store/test_postgres_answers.py"
TOGETHER = ("tests/engine/test_storethread.py", "-k", "asked_for_twice")
GUARDS = (
    Guard(
        "fence of plain successes",
        Cut(f"{SQL}/success.sql", "task.claim = c.value ->> @claim and "),
        (CONTRACT, "-k", "stale_claim"),
    ),
    Guard(
        "fence of other changes",
        Cut(f"{SQL}/change.sql", "    and task.claim = c.value ->> @claim\n"),
        (CONTRACT, "-k", "stale_claim"),
    ),
    Guard(
        "fence of late answers in the node",
        Cut(f"{ENGINE}/crew.py", " or attempt.held.claim != claim:", ":"),
        ("tests/engine/test_crew.py", "-k", "stale_answer"),
    ),
    Guard(
        "fence of late news in the node",
        Cut(f"{ENGINE}/floor.py", "attempt is not None and attempt.held.claim == message.claim", "attempt is not None"),
        ("tests/engine/test_node.py", "-k", "tells_something"),
    ),
    Guard(
        "counted at claim",
        Cut(f"{SQL}/claim.sql", "    attempt = attempt + (verdict is null),\n"),
        (CONTRACT,),
    ),
    Guard(
        "suspect after two losses",
        Cut("src/duly/core/lifecycle.py", "Suspicion.SUSPECT if losses >= SUSPECT_LOSSES else None", "None"),
        ("tests/core/test_lifecycle.py", "-k", "lost_node"),
    ),
    Guard(
        "suspect watched alone",
        Cut(f"{ENGINE}/suspects.py", "return self._attempt is not None", "return False"),
        ("tests/engine/test_watched_alone.py",),
    ),
    Guard(
        "verdict respected by plain successes",
        Cut(f"{SQL}/success.sql", " and task.verdict is null"),
        (CONTRACT, "-k", "verdict or cancel or kept"),
    ),
    Guard(
        "verdict respected by other changes",
        Cut(
            f"{SQL}/change.sql",
            "(task.verdict is not null) = (c.value ->> @guard)",
            "true",
        ),
        (CONTRACT, "-k", "verdict or cancel"),
    ),
    Guard(
        "held: what nobody here knows of is given back",
        Cut(f"{ENGINE}/node.py", "for held in forgotten:", "for held in ():"),
        ("tests/engine/test_ledger.py", "-k", "does_not_know_of"),
    ),
    Guard(
        "held: what is another's is stopped",
        Cut(f"{ENGINE}/node.py", "for right in lost:", "for right in ():"),
        ("tests/engine/test_ledger.py", "-k", "anothers"),
    ),
    Guard(
        "read-back of pragmas",
        Cut("src/duly/store/sqlite/connection.py", "if got != value:", "if False:"),
        ("tests/store/test_opening.py", "-k", "setting"),
    ),
    Guard(
        "stray sweep",
        Cut(f"{ENGINE}/rescue.py", "strays = sweep(dead.name)", "strays = 0"),
        ("tests/engine/test_rescue.py", "-k", "given_back"),
    ),
    Guard(
        "folding of submits",
        Cut(f"{ENGINE}/storethread.py", "list(submits.values())", "[one for r in requests for one in r.submits]"),
        TOGETHER,
    ),
    Guard(
        "folding of cancels",
        Cut(f"{ENGINE}/storethread.py", "list(cancels.values())", "[one for r in requests for one in r.cancels]"),
        TOGETHER,
    ),
    Guard(
        "folding of retries",
        Cut(f"{ENGINE}/storethread.py", "list(retries)", "[one for r in requests for one in r.retries]"),
        TOGETHER,
    ),
    # on a server
    Guard(
        "server: fence of plain successes",
        Cut(f"{SERVER}/sql/success.sql", " and task.claim = c.claim"),
        (ON_SERVER, "-k", "stale_claim"),
    ),
    Guard(
        "server: fence of other changes",
        Cut(f"{SERVER}/sql/change.sql", "        and task.claim = c.claim\n"),
        (ON_SERVER, "-k", "stale_claim"),
    ),
    Guard(
        "server: counted at claim",
        Cut(f"{SERVER}/sql/claim.sql", "        attempt = task.attempt + (task.verdict is null)::integer,\n"),
        (ON_SERVER,),
    ),
    Guard(
        "server: verdict respected by plain successes",
        Cut(f"{SERVER}/sql/success.sql", " and task.verdict is null"),
        (ON_SERVER, "-k", "verdict or cancel or kept"),
    ),
    Guard(
        "server: verdict respected by other changes",
        Cut(f"{SERVER}/sql/change.sql", "(task.verdict is not null) = (c.guard = 1)", "true"),
        (ON_SERVER, "-k", "verdict or cancel"),
    ),
    Guard(
        "server: who is given up is refused",
        Cut(f"{SERVER}/sql/exchange.sql", " and not lost"),
        ("tests/store/test_postgres_trouble.py", "-k", "silent_for_too_long"),
    ),
    Guard(
        "server: an exchange is carried out once",
        Cut(f"{SERVER}/sql/exchange.sql", "and exchange = :number - 1 "),
        (ANSWERS, "-k", "as_it_was"),
    ),
    Guard(
        "server: a lost answer is asked for",
        Cut(f"{SERVER}/store.py", "(again or unsure) and self._counted(", "False and self._counted("),
        (ANSWERS, "-k", "as_it_was"),
    ),
    Guard(
        "server: what has ended is not stored again",
        Cut(f"{SERVER}/sql/known.sql", "task.id = ended.id", "false"),
        ("tests/store/test_postgres_together.py", "-k", "not_run_again"),
    ),
    Guard(
        "server: a node's time is not behind",
        Cut(f"{SERVER}/session.py", "Heard(now, self._asked_at)", "Heard(now, time.monotonic())"),
        ("tests/store/test_postgres_trouble.py", "-k", "not_behind"),
    ),
    Guard(
        "a node ends before its lease",
        Cut(f"{ENGINE}/node.py", "left = self._lease.turned()", "left = max(1.0, self._lease.turned())"),
        ("tests/engine/test_leases.py", "-k", "killed_before"),
    ),
)


def broken(guard: Guard, folder: Path) -> Path:
    """Copy the tree into a folder, take the guard away, and return where that is. Raises `LookupError`."""
    tree = folder / guard.name.replace(" ", "-").replace(":", "")
    for name in ("src", "tests", "tools"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    path, text = tree / guard.cut.file, (tree / guard.cut.file).read_text()
    if text.count(guard.cut.text) != 1:
        raise LookupError(f"{guard.name}: {guard.cut.text!r} stands {text.count(guard.cut.text)} times in {path.name}")
    path.write_text(text.replace(guard.cut.text, guard.cut.instead))
    return tree


def notices(guard: Guard, folder: Path) -> tuple[bool, str]:
    """Whether its tests notice that the guard is missing, and what they said."""
    tree = broken(guard, folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PYTEST_"))}
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={folder}/temp"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *guard.tests], cwd=tree, env={**kept, "PYTHONPATH": f"{tree}/src"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == FAILED, done.stdout + done.stderr
