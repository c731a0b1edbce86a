"""Attempts one after another, each in a process of its own, or many at a time: with real runners."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

import duly
from duly.core.action import Isolation
from tests.engine import isolated
from tests.helpers import alive, eventually

SECONDS = 30
QUICK = duly.Backoff(first=0.01, most=0.02)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duly.App]:
    monkeypatch.setenv("ISOLATED_LOG", str(tmp_path / "log"))
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        yield app


def kinds(app: duly.App, handle: duly.Handle[Any]) -> list[str]:
    return [event.kind for event in app.look(handle.id)[1]]


def begun(handle: duly.Handle[Any]) -> Any:
    """Wait for its first update."""
    return next(event.data["data"] for event in handle.events() if event.kind == "update")


# fresh: a new process per attempt


def test_each_attempt_has_a_process_of_its_own_in_which_nothing_ran_before(app: duly.App) -> None:
    alone = app.action("t:alone", isolation="fresh")(isolated.alone)
    warm = app.action("t:warm")(isolated.remember)
    with app.worker(1):
        done = [warm.submit("warm").result(timeout=SECONDS)]
        done += [alone.submit(str(n)).result(timeout=SECONDS) for n in range(5)]
    assert len({pid for pid, _ in done}) == 6
    assert [before for _, before in done[1:]] == [[str(n)] for n in range(5)]


def test_what_it_leaves_behind_is_gone_with_it(app: duly.App) -> None:
    leave = app.action("t:leave", isolation="fresh")(isolated.leave_a_process)
    with app.worker(1):
        left = [leave.submit().result(timeout=SECONDS) for _ in range(3)]
        eventually(lambda: not any(map(alive, left)))


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [(isolated.die, signal.SIGSEGV, "SIGSEGV"), (isolated.leave, 0, "0"), (isolated.leave, 7, "7")],
)
def test_its_death_is_named_and_the_next_attempt_runs(
    app: duly.App, function: Callable[[int], None], argument: int, said: str
) -> None:
    die = app.action("t:die", isolation="fresh", max_attempts=2, retry=QUICK)(function)
    alone = app.action("t:alone", isolation="fresh")(isolated.alone)
    with app.worker(1):
        died = die.submit(int(argument))
        with pytest.raises(duly.TaskDied, match=said):
            died.result(timeout=SECONDS)
        assert app.look(died.id)[0].deaths == 2
        alone.submit("next").result(timeout=SECONDS)


def test_a_runner_that_begins_nothing_keeps_nobody_waiting(app: duly.App) -> None:
    parent = app.action("t:parent", isolation="fresh")(os.getppid)
    with app.worker(1):
        stopped = parent.submit().result(timeout=SECONDS)
        os.kill(stopped, signal.SIGSTOP)
        again = parent.submit()
        assert again.result(timeout=SECONDS) != stopped
    assert "interrupt" not in kinds(app, again)


def test_its_limits_hold(app: duly.App) -> None:
    deaf = app.action("t:deaf", isolation="fresh", timeout=0.2, grace=0.2, max_attempts=1)(isolated.deaf)
    eat = app.action("t:eat", isolation="fresh", memory="100MiB", grace=0.2, max_attempts=1)(isolated.eat)
    with app.worker(1):
        stuck = deaf.submit()
        pid = begun(stuck)
        since = time.monotonic()
        assert stuck.wait(SECONDS).cause == "timeout"
        eventually(lambda: not alive(pid), 2.0)
        assert time.monotonic() - since < 0.2 + 0.2 + 1.0
        assert eat.submit(200).wait(SECONDS).cause == "memory"
        assert eat.using(max_attempts=1).submit(1).state == "ready"


def test_it_can_be_asked_to_stop(app: duly.App) -> None:
    stay = app.action("t:stay", isolation="fresh", grace=SECONDS)(isolated.stay)
    with app.worker(1):
        handle = stay.submit()
        begun(handle)
        assert handle.cancel("enough", wait=SECONDS) == "asked"
        assert handle.wait(0).state == "cancelled"
        assert app.look(handle.id)[0].reason == "enough"


def test_it_can_submit_with_its_success_and_ask_its_supervisor(app: duly.App) -> None:
    parent = app.action("t:parent", isolation="fresh")(isolated.parent)
    alone = app.action("t:alone", isolation="fresh")(isolated.alone)
    with app.worker(1):
        for number in range(3):
            parent.submit(alone.name, number).result(timeout=SECONDS)
        children = list(app.tasks(action=alone.name))
        assert len(children) == 3
        assert all(app.handle(task.id).wait(SECONDS).ok for task in children)


# shared: many at a time


def test_many_run_at_a_time_in_one_process_and_each_knows_who_it_is(app: duly.App) -> None:
    doze = app.action("t:doze", isolation="shared")(isolated.doze)
    with app.worker(1):
        doze.submit().result(timeout=SECONDS)
        since = time.monotonic()
        handles = app.submit_many(doze.passport(0.5) for _ in range(100))
        done = [handle.result(timeout=SECONDS) for handle in handles]
        assert time.monotonic() - since < 5.0, "they would take 50 s one after another"
    assert len({pid for pid, _ in done}) == 1
    assert [task for _, task in done] == [handle.id for handle in handles]


def test_they_run_beside_what_runs_one_at_a_time(app: duly.App) -> None:
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    warm = app.action("t:warm")(isolated.remember)
    with app.worker(1):
        long = tell.submit(SECONDS)
        begun(long)
        assert warm.submit("one").result(timeout=SECONDS)
        long.cancel(wait=SECONDS)


@pytest.mark.parametrize("kinds_of", list(itertools.permutations(["process", "fresh", "shared"])), ids=" ".join)
def test_one_runner_after_another_becomes_what_is_asked_for(app: duly.App, kinds_of: Sequence[Isolation]) -> None:
    actions = [
        app.action(f"t:{kind}", isolation=kind)(isolated.doze if kind == "shared" else os.getpid) for kind in kinds_of
    ]
    with app.worker(1):
        for action in actions:
            action.submit().result(timeout=SECONDS)


def test_one_whose_time_is_over_is_cancelled_and_no_other(app: duly.App) -> None:
    stop = app.action("t:stop", isolation="shared", timeout=0.2, grace=SECONDS, max_attempts=1)(
        isolated.stop_when_asked
    )
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        neighbour = tell.submit(1.0)
        begun(neighbour)
        assert stop.submit().wait(SECONDS).cause == "timeout"
        assert neighbour.wait(SECONDS).statistics.attempts == 1
        assert kinds(app, neighbour)[-1] == "success"


def test_one_that_keeps_the_loop_from_all_others_is_stopped_where_it_is(app: duly.App) -> None:
    block = app.action("t:block", isolation="shared", timeout=0.3, grace=SECONDS, max_attempts=1)(isolated.block)
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        neighbour = tell.submit(0.5)
        begun(neighbour)
        assert block.submit(SECONDS).wait(SECONDS).cause == "timeout"
        assert neighbour.wait(SECONDS).statistics.attempts == 1
        assert kinds(app, neighbour)[-1] == "success"


def test_one_that_is_cancelled_before_its_first_step_keeps_nobody_waiting(app: duly.App) -> None:
    block = app.action("t:block", isolation="shared")(isolated.block_after)
    doze = app.action("t:doze", isolation="shared", grace=SECONDS)(isolated.doze)
    with app.worker(1):
        blocking = block.submit(1.0)
        begun(blocking)
        time.sleep(0.3)  # noqa: TID251 - from now on the loop reads nothing
        late = doze.submit(60)
        eventually(lambda: late.refresh().state == "running")
        assert late.cancel() == "asked"
        assert late.wait(SECONDS / 3).state == "cancelled"
        assert blocking.wait(SECONDS).statistics.attempts == 1
        assert kinds(app, blocking)[-1] == "success"


def test_it_is_stopped_also_where_something_it_started_keeps_the_loop(app: duly.App) -> None:
    start = app.action("t:start", isolation="shared", grace=SECONDS)(isolated.start_what_blocks)
    with app.worker(1):
        started = start.submit()
        begun(started)
        assert started.cancel() == "asked"
        assert started.wait(SECONDS / 3).state == "cancelled"


def test_before_a_kill_the_others_get_its_grace_to_end(app: duly.App) -> None:
    cling = app.action("t:cling", isolation="shared", timeout=0.2, grace=1.0, max_attempts=1)(isolated.cling)
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        quick, slow = tell.submit(0.6), tell.submit(5.0)
        begun(quick)
        begun(slow)
        stuck = cling.submit()
        pid = begun(stuck)
        newcomer = tell.submit(0.1)
        assert stuck.wait(SECONDS).cause == "timeout"
        eventually(lambda: not alive(pid), 1.0)
        assert quick.wait(SECONDS).value == pid
        assert newcomer.wait(SECONDS).ok
        assert slow.wait(SECONDS).statistics.attempts == 1, "an interruption is no attempt"
    assert kinds(app, slow).count("interrupt") == 1
    assert app.look(slow.id)[0].deaths == 0


def test_while_one_is_being_stopped_newcomers_go_elsewhere(app: duly.App) -> None:
    cling = app.action("t:cling", isolation="shared", timeout=0.2, grace=2.0, max_attempts=1)(isolated.cling)
    doze = app.action("t:doze", isolation="shared")(isolated.doze)
    with app.worker(1):
        stuck = cling.submit()
        pid = begun(stuck)
        eventually(lambda: doze.submit().result(timeout=SECONDS)[0] != pid, 2.0)
        assert stuck.refresh().state == "running"


def test_a_crash_charges_whose_step_it_was_and_the_others_run_again(app: duly.App) -> None:
    die = app.action("t:die", isolation="shared", max_attempts=1)(isolated.die_in_a_step)
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        neighbours = [tell.submit(0.5) for _ in range(20)]
        begun(neighbours[-1])
        with pytest.raises(duly.TaskDied, match="SIGSEGV"):
            die.submit().result(timeout=SECONDS)
        for neighbour in neighbours:
            assert neighbour.wait(SECONDS).statistics.attempts == 1
    assert {app.look(neighbour.id)[0].deaths for neighbour in neighbours} == {0}
    assert {kinds(app, neighbour).count("interrupt") for neighbour in neighbours} == {1}


def test_a_crash_that_has_no_name_ends_too_and_its_neighbours_do_their_work(app: duly.App) -> None:
    die = app.action("t:die", isolation="shared", max_attempts=9, retry=QUICK)(isolated.die_in_a_thread)
    tell = app.action("t:tell", isolation="shared", retry=QUICK)(isolated.doze_and_tell)
    with app.worker(1):
        neighbour = tell.submit(0.5)
        begun(neighbour)
        assert die.submit().wait(SECONDS).cause == "quarantined"
        assert neighbour.wait(SECONDS).statistics.attempts == 1
    assert app.look(neighbour.id)[0].deaths == 0


def test_a_crash_is_charged_also_while_another_is_being_stopped(app: duly.App) -> None:
    cling = app.action("t:cling", isolation="shared", timeout=0.2, grace=SECONDS, max_attempts=1)(isolated.cling)
    die = app.action("t:die", isolation="shared", max_attempts=1)(isolated.die_later)
    with app.worker(1):
        dying = die.submit(0.6)
        begun(dying)
        stuck = cling.submit()
        with pytest.raises(duly.TaskDied, match="SIGSEGV"):
            dying.result(timeout=SECONDS)
        assert stuck.wait(SECONDS).cause == "timeout"
    assert "interrupt" not in kinds(app, dying)


def test_one_that_keeps_the_loop_through_anothers_grace_is_charged_in_its_place(app: duly.App) -> None:
    block = app.action("t:block", isolation="shared", grace=SECONDS, max_attempts=1)(isolated.block_after)
    tell = app.action("t:tell", isolation="shared", timeout=1.0, grace=0.4, max_attempts=1)(isolated.doze_and_tell)
    with app.worker(1):
        blocking = block.submit(SECONDS)
        begun(blocking)
        neighbour = tell.submit(0.5)
        assert blocking.wait(SECONDS).cause == "died"
        assert neighbour.wait(SECONDS).ok
    assert kinds(app, neighbour).count("interrupt") == 1


def taken_away(path: Path, task: duly.Handle[Any]) -> None:
    """Have somebody else claim a task that runs."""
    connection = apsw.Connection(f"{path}/tasks.db")
    connection.set_busy_timeout(SECONDS * 1000)
    connection.execute("update task set claim = claim + 1 where id = ?", (task.id,))
    connection.close()


def test_what_is_anothers_by_now_is_stopped_and_its_neighbours_go_on(app: duly.App, tmp_path: Path) -> None:
    tell = app.action("t:tell", isolation="shared")(isolated.keep_telling)
    doze = app.action("t:doze", isolation="shared", max_attempts=1)(isolated.doze_and_tell)
    with app.worker(1):
        lost, neighbour = tell.submit(), doze.submit(1.5)
        begun(lost)
        begun(neighbour)
        taken_away(tmp_path, lost)
        assert neighbour.result(timeout=SECONDS) == doze.submit(0.0).result(timeout=SECONDS)
    assert "interrupt" not in kinds(app, neighbour)
    assert kinds(app, lost)[-1] in ("start", "update")


def test_a_kill_for_what_is_anothers_by_now_charges_nobody(app: duly.App, tmp_path: Path) -> None:
    tell = app.action("t:tell", isolation="shared", grace=0.2)(isolated.keep_telling_come_what_may)
    busy = app.action("t:busy", isolation="shared", max_attempts=1)(isolated.take_turns)
    with app.worker(1):
        neighbour, lost = busy.submit(), tell.submit()
        assert begun(neighbour) == begun(lost)
        taken_away(tmp_path, lost)
        assert neighbour.wait(SECONDS).ok
    assert kinds(app, neighbour).count("interrupt") == 1
    assert app.look(neighbour.id)[0].deaths == 0


def test_what_is_claimed_anew_where_it_still_runs_runs_once_more_and_only_that_counts(
    app: duly.App, tmp_path: Path
) -> None:
    """As if this node had been taken for dead, and what it held been given back."""
    for kind in ("process", "fresh", "shared"):
        stay = app.action(f"t:{kind}", isolation=kind)(isolated.adoze_once if kind == "shared" else isolated.doze_once)
        with app.worker(2):
            task = stay.submit(str(tmp_path / kind))
            first = begun(task)
            connection = apsw.Connection(f"{tmp_path}/tasks.db")
            connection.set_busy_timeout(SECONDS * 1000)
            connection.execute("update task set state = 2, node = null, attempt = 0 where id = ?", (task.id,))
            connection.close()
            assert task.result(timeout=SECONDS) != first
            eventually(lambda: not alive(first), 10)  # noqa: B023 - it is called here and now
            assert stay.submit(str(tmp_path / kind)).result(timeout=SECONDS)
        assert kinds(app, task).count("success") == 1


def test_one_that_exits_does_not_take_the_others_along(app: duly.App) -> None:
    leave = app.action("t:leave", isolation="shared", max_attempts=1)(isolated.exit_politely)
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        neighbour = tell.submit(0.3)
        begun(neighbour)
        result = leave.submit().wait(SECONDS)
        assert (result.cause, result.error and result.error.type) == ("error", "SystemExit")
        assert neighbour.wait(SECONDS).statistics.attempts == 1


def test_a_fork_that_comes_back_from_a_handler_answers_for_nobody(app: duly.App) -> None:
    fork = app.action("t:fork", isolation="shared", max_attempts=1, timeout=10, grace=0.1)(isolated.fork_and_come_back)
    tell = app.action("t:tell", isolation="shared")(isolated.doze_and_tell)
    with app.worker(1):
        neighbour = tell.submit(1.0)
        pid = begun(neighbour)
        assert fork.submit().result(timeout=SECONDS) == ["runner", neighbour.result(timeout=SECONDS)], pid


def test_what_they_print_is_told_by_task(app: duly.App, capfd: pytest.CaptureFixture[str]) -> None:
    speak = app.action("t:speak", isolation="shared")(isolated.speak)
    with app.worker(1):
        handles = {name: speak.submit(name) for name in ("Ann", "Ben", "Cleo")}
        for handle in handles.values():
            handle.wait(SECONDS)
    said = capfd.readouterr().err.splitlines()
    for name, handle in handles.items():
        for text in (f"{name} says 0", f"{name} says 2", f"{name} ends"):
            assert f"[t:speak {handle.id}] {text}" in said


def test_their_updates_are_conflated_and_the_last_is_told(app: duly.App) -> None:
    count_up = app.action("t:count", isolation="shared")(isolated.count_up)
    with app.worker(1):
        handles = [count_up.submit(200) for _ in range(5)]
        for handle in handles:
            handle.wait(SECONDS)
            updates = [event.data["data"] for event in handle.events() if event.kind == "update"]
            assert updates == sorted(updates)
            assert updates[-1] == 200
            assert len(updates) < 50


def test_a_drain_asks_all_of_them(app: duly.App) -> None:
    stop = app.action("t:stop", isolation="shared", grace=SECONDS)(isolated.stop_when_asked)
    worker = app.worker(1)
    with worker:
        handles = [stop.submit() for _ in range(5)]
        for handle in handles:
            begun(handle)
        worker._worker.stop(hurry=True)
    assert {handle.result(timeout=0) for handle in handles} == {"drain"}


def test_only_what_awaits_can_share(app: duly.App) -> None:
    with pytest.raises(duly.ActionInvalid, match="async def"):
        app.action("t:plain", isolation="shared")(isolated.alone)


def test_a_shared_task_awaits_its_result_from_async_code(app: duly.App) -> None:
    doze = app.action("t:doze", isolation="shared")(isolated.doze)

    async def main() -> list[Any]:
        async with app.worker(1):
            handles = await asyncio.gather(*(doze.asubmit(0.05) for _ in range(50)))
            return list(await asyncio.gather(*(handle.aresult() for handle in handles)))

    assert len(asyncio.run(main())) == 50


# a runner's life


def test_a_runner_is_replaced_after_so_many_tasks(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", recycle_tasks=3) as app:
        warm = app.action("t:warm")(isolated.remember)
        with app.worker(1):
            done = [warm.submit(str(n)).result(timeout=SECONDS) for n in range(7)]
    assert [len(before) for _, before in done] == [1, 2, 3, 1, 2, 3, 1]


def test_a_runner_that_has_grown_is_replaced(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", recycle_growth="32MiB") as app:
        grow = app.action("t:grow")(isolated.grow)
        with app.worker(1):
            pids = [grow.submit(16).result(timeout=SECONDS) for _ in range(8)]
    assert 2 <= len(set(pids)) < 8


def test_what_is_around_a_runners_life_begins_before_its_tasks_and_ends_after_them(
    app: duly.App, tmp_path: Path
) -> None:
    app.runner_setup(isolated.pool)
    life = app.action("t:life")(isolated.life)
    fresh = app.action("t:fresh", isolation="fresh")(isolated.life)
    with app.worker(1):
        done = [life.submit().result(timeout=SECONDS) for _ in range(2)]
        done += [fresh.submit().result(timeout=SECONDS) for _ in range(3)]
    assert all(known == [f"set up in {pid}"] for pid, known in done)
    ended = set(map(int, (tmp_path / "log").read_text().split()))
    assert {pid for pid, _ in done} <= ended
    assert os.getpid() not in ended


def test_a_process_that_ends_in_it_is_said_and_not_started_anew_at_once(
    app: duly.App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app.runner_setup(isolated.deadly_pool)
    life = app.action("t:life")(isolated.life)
    with app.worker(1):
        handle = life.submit()
        eventually(lambda: "trying again in 0.4 s" in caplog.text)
        assert "runner_setup: its process ended in it, with status 9" in caplog.text
        assert app.look(handle.id)[0].attempt == 0
        (tmp_path / "log").touch()
        handle.result(timeout=SECONDS)


def test_while_it_fails_tasks_wait_and_it_is_said_why(
    app: duly.App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app.runner_setup(isolated.broken_pool)
    life = app.action("t:life")(isolated.life)
    with app.worker(1):
        handle = life.submit()
        eventually(lambda: caplog.text.count("no database there") >= 3)
        assert caplog.text.count("isolated.py") == 1, "its traceback is told once"
        assert handle.refresh().state == "ready"
        assert app.look(handle.id)[0].attempt == 0
        (tmp_path / "log").touch()
        handle.result(timeout=SECONDS)


def test_while_it_takes_its_time_it_is_said_that_tasks_wait_for_it(
    app: duly.App, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.floor.PATIENT_SECONDS", 0.2)
    app.runner_setup(isolated.slow_pool)
    life = app.action("t:life")(isolated.life)
    with app.worker(1):
        handle = life.submit()
        eventually(lambda: "has not come to its yield" in caplog.text)
        (tmp_path / "log").touch()
        handle.result(timeout=SECONDS)


def test_a_handler_begins_no_worker(app: duly.App) -> None:
    begin = app.action("t:begin")(isolated.begin_a_worker)
    with app.worker(1):
        assert "there is a worker already" in begin.submit().result(timeout=SECONDS)


def test_each_kind_of_runner_is_there_for_its_tasks_though_the_others_came_first(app: duly.App) -> None:
    shared = app.action("t:doze", isolation="shared")(isolated.doze)
    alone = app.action("t:alone")(isolated.alone)
    fresh = app.action("t:fresh", isolation="fresh")(isolated.alone)
    with app.worker(1):
        shared.submit().result(timeout=SECONDS)
        alone.submit("one").result(timeout=SECONDS)
        fresh.submit("two").result(timeout=SECONDS)
        shared.submit().result(timeout=SECONDS)
