import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History


def test_what_failed_is_ready_again_and_its_id_is_printed(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    failed = json.loads(cli("submit", "-a", "shop", "email:fail", "7", "--wait", "--json").out)["id"]
    assert worker.end().code == 0
    done = cli("retry", "-a", "shop", failed[-12:])
    assert (done.code, done.out) == (0, f"{failed}\n")
    assert cli("show", "-a", "shop", failed, "--json").data()["state"] == "ready"


def test_one_that_waits_for_its_date_is_due_now(cli: "Cli") -> None:
    later = cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h").out.strip()
    done = cli("retry", "-a", "shop", later, "--jsonl")
    assert json.loads(done.out) == {"id": later, "answer": "retried", "state": "ready"}


def test_any_other_state_is_refused_with_a_reason_and_the_others_are_retried(cli: "Cli") -> None:
    later = cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h").out.strip()
    ready = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    done = cli("retry", "-a", "shop", ready, later)
    assert (done.code, done.out) == (1, f"{later}\n")
    assert f"error: task {ready} is ready already" in done.err


def test_a_task_that_is_not_there_is_exit_3_whatever_else_is_wrong(cli: "Cli") -> None:
    ready = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    done = cli("retry", "-a", "shop", "00000000-0000-7000-8000-000000000000", ready, "--jsonl")
    assert done.code == 3
    assert [json.loads(line)["answer"] for line in done.out.splitlines()] == ["unknown", "refused"]


def test_a_part_of_an_id_that_fits_several_is_wrong_usage(history: "History") -> None:
    done = history.cli("retry", "-a", "shop", history.ids["sent"][:8])
    assert (done.code, done.out) == (2, "")
