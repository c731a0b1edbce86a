from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History


def test_a_waiting_task_is_cancelled_for_good(cli: "Cli") -> None:
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    done = cli("cancel", "-a", "shop", task_id[-12:], "--reason", "sent by hand")
    assert (done.code, done.out) == (0, "cancelled\n")
    assert done.err == "it had not begun, and never will\n"
    shown = cli("show", "-a", "shop", task_id, "--json").data()
    assert (shown["state"], shown["reason"]) == ("cancelled", "sent by hand")


def test_the_answer_is_a_document_if_wanted(cli: "Cli") -> None:
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    done = cli("cancel", "-a", "shop", task_id, "--json")
    assert done.data() == {"id": task_id, "answer": "cancelled"}
    assert done.err == ""


def test_a_task_that_has_ended_stays_as_it_is_and_that_is_exit_1(history: "History") -> None:
    done = history.cli("cancel", "-a", "shop", history.ids["sent"])
    assert (done.code, done.out) == (1, "ended\n")
    assert history.cli("show", "-a", "shop", history.ids["sent"], "--json").data()["state"] == "succeeded"


def test_a_running_task_is_asked_and_waited_for(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    task_id = cli("submit", "-a", "shop", "report:build", '"never"').out.strip()
    worker.until("begun")
    done = cli("cancel", "-a", "shop", task_id, "--wait", "20s")
    assert (done.code, done.out) == (0, "asked\n")
    assert cli("show", "-a", "shop", task_id, "--json").data()["state"] == "cancelled"


def test_waiting_for_one_that_heeds_nobody_ends_with_124(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    task_id = cli("submit", "-a", "shop", "report:stall").out.strip()
    worker.until("begun")
    done = cli("cancel", "-a", "shop", task_id, "--wait", "100ms")
    assert (done.code, done.out) == (124, "")
    assert "it goes on" in done.err
    assert cli("show", "-a", "shop", task_id, "--json").data()["state"] == "cancelling"
