"""A node with real runners, driven as users drive it or, where the moment matters, turn by turn."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import duly
from duly.action import Action
from duly.core import lifecycle
from duly.core.action import ActionSpec, Policy
from duly.core.task import Held, State, Suspicion
from duly.engine.console import Console
from duly.engine.node import LAST_SECONDS, GivenUp, Node
from duly.engine.roster import Roster
from duly.engine.settings import Settings
from duly.engine.storethread import StoreThread
from duly.errors import StoreFull
from duly.ports import CancelAsked, Pause, Request, Told, Want
from duly.runner.pool import Pool
from duly.runner.targets import from_callable
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from duly.wire.runner import Said
from tests.engine import errands
from tests.engine.making import SECONDS, asked, attempt, posted, submission
from tests.helpers import eventually

QUICK = duly.Backoff(first=0.01, most=0.02)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60) as app:
        yield app


def kinds(app: duly.App, handle: duly.Handle[Any]) -> list[str]:
    return [event.kind for event in app.look(handle.id)[1]]


# runners


def test_a_runner_in_which_something_was_left_behind_is_replaced(app: duly.App) -> None:
    leave = app.action("errand:leave")(errands.leave_a_thread)
    with app.worker(1):
        pids = [leave.submit().result(timeout=SECONDS) for _ in range(3)]
    assert len(set(pids)) == 3


def test_a_runner_does_one_task_after_another(app: duly.App) -> None:
    pid = app.action("errand:pid")(errands.pid)
    with app.worker(1):
        assert len({pid.submit().result(timeout=SECONDS) for _ in range(3)}) == 1


def test_a_task_that_takes_all_runners_along_each_time_is_given_up_at_last(
    app: duly.App, caplog: pytest.LogCaptureFixture
) -> None:
    kill = app.action("errand:kill", retry=QUICK)(errands.kill_zygote)
    nothing = app.action("errand:nothing")(errands.nothing)
    with app.worker(1):
        handle = kill.submit()
        result = handle.wait(SECONDS)
        nothing.submit().result(timeout=SECONDS)
    assert (result.state, result.cause) == ("failed", "quarantined")
    assert kinds(app, handle).count("rescue") == 2, "twice nobody is charged, then it is watched"
    assert "the process that starts runners ended" in caplog.text


def test_what_a_dying_task_printed_last_is_shown_though_its_line_is_unfinished(
    app: duly.App, capfd: pytest.CaptureFixture[str]
) -> None:
    die = app.action("errand:die", max_attempts=1)(errands.die_in_a_line)
    with app.worker(1):
        handle = die.submit()
        assert handle.wait(SECONDS).cause == "died"
    assert f"[errand:die {handle.id}] half a line\n" in capfd.readouterr().err


# order


def test_a_long_task_keeps_no_short_ones_waiting_behind_it_while_another_runner_is_free(app: duly.App) -> None:
    mix = app.action("errand:mix")(errands.mix)
    with app.worker(2):
        for _ in range(2):
            for handle in app.submit_many(mix.passport() for _ in range(30)):
                handle.wait(SECONDS)
        long = mix.using(front=True).submit(1.5)  # nobody could know: its kind has been short up to now
        eventually(lambda: long.refresh().state == "running")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for handle in app.submit_many(mix.passport() for _ in range(8)):
                handle.wait(SECONDS)
        assert long.refresh().state == "running", "all others were done meanwhile"


def test_the_more_urgent_overtakes_what_the_node_holds_already(app: duly.App, tmp_path: Path) -> None:
    order = app.action("errand:order")(errands.order)
    nap = app.action("errand:nap")(errands.nap)
    log = f"{tmp_path}/log"
    with app.worker(1):
        for handle in app.submit_many(order.passport("learn", log) for _ in range(20)):
            handle.wait(SECONDS)
        hold = nap.using(front=True).submit(0.3)
        eventually(lambda: hold.refresh().state == "running")
        waiting = app.submit_many(order.passport("waits", log) for _ in range(3))
        urgent = order.using(priority="high").submit("urgent", log)
        for handle in (*waiting, urgent):
            handle.wait(SECONDS)
    assert Path(log).read_text().split()[20:] == ["urgent", "waits", "waits", "waits"]


# stopping


def begun(app: duly.App, action: Action[..., Any, ..., Any]) -> duly.Handle[Any]:
    handle = action.submit()
    assert any(event.kind == "update" for event in handle.events())
    return handle


def test_a_drain_lets_what_runs_go_on_and_gives_back_what_waits(app: duly.App) -> None:
    nap = app.action("errand:nap")(errands.nap)
    with app.worker(1):
        runs = nap.submit(0.2)
        assert any(event.kind == "start" for event in runs.events())
        waits = nap.submit(0.2)
    assert (runs.refresh().state, waits.refresh().state) == ("succeeded", "ready")
    assert app.look(waits.id)[0].attempt == 0
    assert not app.nodes()


def test_a_second_drain_hurries(app: duly.App) -> None:
    stay = app.action("errand:stay", timeout=None, grace=SECONDS)(errands.stay)
    working = app.worker(1)
    with working:
        handle = begun(app, stay)
        working._worker.stop()
        working._worker.stop(hurry=True)
        assert handle.result(timeout=SECONDS) == "drain"


def test_a_drain_that_took_too_long_stops_what_runs(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60, drain_timeout=0.05) as app:
        stay = app.action("errand:stay", timeout=None)(errands.stay)
        with app.worker(1):
            handle = begun(app, stay)
        assert handle.result(timeout=0) == "drain"


def test_a_node_that_was_struck_off_starts_anew_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.02)
    nothing = app.action("errand:nothing")(errands.nothing)
    with app, app.worker(1):
        ((node, _),) = app.nodes()
        other = SqliteStore(str(app.place))
        other.open()
        other.leave(node.number)
        other.close()
        nothing.submit().result(timeout=SECONDS)
        ((new, lives),) = app.nodes()
        assert lives
        assert new.number != node.number
    assert "this node was given up" in caplog.text


def test_a_drain_that_hurries_asks_nothing_of_runners_that_have_nothing_to_do(stepped: Stepped) -> None:
    """One that is not ready yet would be taken for one whose setup has had its time."""
    floor, now = stepped.node._floor, time.monotonic()
    member = floor.crew.spawn()
    floor.stop_all("drain", now)
    assert member not in stepped.node._ticker.due(now)


def test_the_store_is_given_its_last_second_from_when_the_last_task_is_over(stepped: Stepped) -> None:
    (lane,) = asked(stepped.thread, lambda store: store.lanes())
    asked(stepped.thread, Request(submits=[submission("s", lane.number)]))
    stepped.node._look = True
    stepped.until(stepped.handed)
    hold = stepped.noting()
    stepped.node._drain(0.0)
    stepped.until(stepped.node._floor.over)
    stepped.node._do("gone", time.monotonic())  # as it may fall due in this very moment
    assert not stepped.node._parting.done
    stepped.node._do("gone", time.monotonic() + LAST_SECONDS)
    assert stepped.node._parting.done
    hold.over.set()


def test_who_leaves_untold_is_left_for_others_to_find(stepped: Stepped) -> None:
    other = stepped.another()
    other._tell(lambda: other._parting.leave_untold(other._number))
    other.run()
    assert other._number in [row.number for row in asked(stepped.thread, lambda store: store.nodes())]


# suspects, turn by turn


class Stepped:
    """A node whose turns are the test's."""

    def __init__(self, thread: StoreThread) -> None:
        self.thread = thread
        self.node = self.another()
        self.node._begin()
        self.until(lambda: any(member.ready for member in self.node._floor.crew))
        self.until(lambda: self.node._lanes_version > 0 and not self.node._floor.uncertain)

    def another(self, settings: Settings | None = None) -> Node:
        roster = Roster([(ActionSpec(name="errand:stay"), from_callable(errands.stay))])
        return Node(self.thread, Pool, DatagramBell, roster, settings or Settings(1, poll=0.01), Console(None))

    def until(self, condition: Callable[[], Any]) -> None:
        until = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < until
            self.node._turn()

    def suspect(self) -> Held:
        """A task that was on two lost nodes, claimed by this one, between two exchanges of its own."""
        self.until(lambda: not self.node._cycle.under_way)
        (lane,) = asked(self.thread, lambda store: store.lanes())
        asked(self.thread, Request(submits=[submission("s", lane.number)]))
        for name in ("lost", "lost too"):
            lost = asked(self.thread, lambda store, name=name: store.enlist(name, "", ""))
            want = Want([lane.number], 1)
            (held,) = asked(self.thread, Request(node=lost, number=1, wants=[want])).claims
            asked(self.thread, Request(changes=[lifecycle.rescue(held, Policy(), 0, 0.5)]))
        want = Want([lane.number], 0, suspect=True)
        cycle = self.node._cycle
        reply = asked(self.thread, cycle.request([want]))
        cycle.answered(reply)
        (held,) = reply.claims
        assert held.suspect == Suspicion.SUSPECT
        return held

    def stored(self) -> Any:
        return asked(self.thread, lambda store: store.find(["s"]))[0]

    def kinds(self) -> list[str]:
        rows = asked(self.thread, lambda store: store.events("s", 0, 100))
        return [kind for row in rows for kind, *_ in msgspec.json.decode(row.body)]

    def noting(self) -> Hold:
        """Keep the store from what comes next: the note that a suspect begins."""
        self.until(lambda: not self.node._cycle.under_way)
        hold = Hold(self.thread)
        hold.post()
        hold.begun.wait(SECONDS)
        return hold

    def handed(self) -> bool:
        return any(member.handed for member in self.node._floor.crew)


class Hold:
    """Keeps the store from whatever is posted after this."""

    def __init__(self, thread: StoreThread) -> None:
        self._thread = thread
        self.begun = threading.Event()
        self.over = threading.Event()

    def post(self) -> None:
        posted(self._thread, lambda _: (self.begun.set(), self.over.wait(SECONDS)))


@pytest.fixture
def stepped() -> Iterator[Stepped]:
    thread = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 60.0)
    stepped = Stepped(thread)
    yield stepped
    stepped.node._floor.pool.close()
    stepped.node._bell.close()
    thread.close()


def test_a_suspect_is_handed_over_only_after_its_start_was_committed(stepped: Stepped) -> None:
    node, held = stepped.node, stepped.suspect()
    stepped.until(lambda: not node._cycle.under_way)
    first, then = Hold(stepped.thread), Hold(stepped.thread)
    first.post()
    first.begun.wait(SECONDS)
    node._look = True
    stepped.until(lambda: node._cycle.under_way)  # an exchange that knows nothing of the suspect
    then.post()

    node._floor.take(held)
    node._turn()
    first.over.set()
    then.begun.wait(SECONDS)  # that exchange is answered, and the next one not begun
    for _ in range(5):
        node._turn()
    assert not stepped.handed()
    then.over.set()
    stepped.until(stepped.handed)
    assert (stepped.stored().suspect, stepped.stored().started_at is None) == (Suspicion.WATCHED, False)


def test_a_suspect_that_waits_while_all_runners_are_lost_goes_back(stepped: Stepped) -> None:
    stepped.node._floor.take(stepped.suspect())
    zygote = stepped.node._floor.pool._process.pid
    os.kill(zygote, signal.SIGKILL)
    os.waitid(os.P_PID, zygote, os.WEXITED | os.WNOWAIT)
    stepped.until(lambda: stepped.node._floor.pool._process.pid != zygote)
    stepped.until(stepped.handed)
    assert (stepped.stored().suspect, stepped.stored().attempt) == (Suspicion.WATCHED, 1)


def test_a_suspect_that_comes_when_the_node_drains_goes_back(stepped: Stepped) -> None:
    held = stepped.suspect()
    stepped.node._drain(SECONDS)
    stepped.node._floor.take(held)
    stepped.until(stepped.node._over)
    assert (stepped.stored().state, stepped.stored().suspect) == (State.READY, Suspicion.SUSPECT)


def test_a_suspect_that_is_paused_before_it_is_begun_goes_back(stepped: Stepped) -> None:
    floor, lanes = stepped.node._floor, asked(stepped.thread, lambda store: store.lanes())
    floor.take(stepped.suspect())
    asked(stepped.thread, lambda store: store.pause("action", lanes[0].action))  # so that nothing claims it again
    stepped.node._roster.set_lanes(lanes, asked(stepped.thread, lambda store: store.pauses()))
    floor.heed_pauses()
    assert (floor.suspects.alone, stepped.node._cycle.anything()) == (False, True)
    stepped.until(lambda: stepped.stored().state == State.READY)
    assert (stepped.stored().suspect, stepped.handed()) == (Suspicion.SUSPECT, False)


def test_what_is_claimed_while_a_pause_is_said_goes_back_and_what_owes_cleanup_does_not(stepped: Stepped) -> None:
    floor, lanes = stepped.node._floor, asked(stepped.thread, lambda store: store.lanes())
    claimed, cleaning = (attempt(key, lane=lanes[0].number).held for key in (1, 2))
    stepped.node._roster.set_lanes(lanes, [Pause("queue", lanes[0].queue, 1)])
    floor.take(claimed)
    assert (len(floor.waiting), stepped.node._cycle.anything()) == (0, True)
    floor.take(msgspec.structs.replace(cleaning, verdict=State.CANCELLED))
    assert len(floor.waiting) == 1


def test_a_suspect_whose_start_is_told_and_that_goes_back_unbegun_is_told_to_have_been_interrupted(
    stepped: Stepped,
) -> None:
    held, hold = stepped.suspect(), stepped.noting()
    stepped.node._floor.take(held)
    stepped.until(lambda: stepped.node._cycle.under_way)
    stepped.node._drain(SECONDS)
    hold.over.set()
    stepped.until(stepped.node._over)
    assert (stepped.stored().state, stepped.stored().attempt) == (State.READY, 0)
    assert stepped.kinds()[-2:] == ["start", "interrupt"]


def test_a_suspect_whose_runner_ends_before_it_could_begin_starts_once_all_the_same(stepped: Stepped) -> None:
    held, hold = stepped.suspect(), stepped.noting()
    stepped.node._floor.take(held)
    stepped.until(lambda: stepped.node._cycle.under_way)
    member = stepped.node._floor.suspects._member
    member.runner.signal(signal.SIGKILL)
    stepped.until(lambda: member not in list(stepped.node._floor.crew))
    hold.over.set()
    stepped.until(stepped.handed)
    stepped.until(lambda: not stepped.node._cycle.under_way)
    assert stepped.kinds().count("start") == 1


def test_what_is_claimed_before_a_pause_was_read_is_not_begun(stepped: Stepped) -> None:
    """The answer that brings the claim tells that lanes or pauses have changed; until they are read nothing begins."""
    node, (lane,) = stepped.node, asked(stepped.thread, lambda store: store.lanes())
    stepped.until(lambda: node._lanes_version > 0 and not node._cycle.under_way and not node._floor.uncertain)
    asked(stepped.thread, lambda store: store.pause("queue", lane.queue))
    asked(stepped.thread, Request(submits=[submission("s", lane.number)]))
    reply = asked(stepped.thread, node._cycle.request([Want([lane.number], 1)]))
    assert [held.id for held in reply.claims] == ["s"]
    hold = Hold(stepped.thread)
    hold.post()
    hold.begun.wait(SECONDS)
    node._answered(reply, None)
    for _ in range(5):
        node._turn()
    assert not stepped.handed()
    hold.over.set()
    stepped.until(lambda: not node._floor.uncertain and not node._cycle.anything())
    stepped.until(lambda: stepped.stored().state == State.READY)
    assert (stepped.stored().attempt, stepped.stored().started_at, stepped.handed()) == (0, None, False)


def test_a_suspect_is_not_begun_by_the_answer_that_tells_of_a_pause(stepped: Stepped) -> None:
    node, floor, (lane,) = stepped.node, stepped.node._floor, asked(stepped.thread, lambda store: store.lanes())
    stepped.until(lambda: node._lanes_version > 0 and not node._cycle.under_way and not floor.uncertain)
    floor.take(stepped.suspect())
    floor.dispatch(time.monotonic())
    asked(stepped.thread, lambda store: store.pause("queue", lane.queue))
    node._answered(asked(stepped.thread, node._cycle.request([])), None)
    assert (floor.suspects._noting, stepped.handed()) == (True, False)
    stepped.until(lambda: not floor.suspects.alone or stepped.handed())
    assert not stepped.handed()
    stepped.until(lambda: stepped.stored().state == State.READY)


def test_a_suspect_is_begun_once_it_is_known_not_to_be_paused(stepped: Stepped) -> None:
    node, floor = stepped.node, stepped.node._floor
    stepped.until(lambda: node._lanes_version > 0 and not node._cycle.under_way and not floor.uncertain)
    floor.take(stepped.suspect())
    floor.dispatch(time.monotonic())
    asked(stepped.thread, lambda store: store.pause("queue", "another"))
    node._answered(asked(stepped.thread, node._cycle.request([])), None)
    assert not stepped.handed()
    stepped.until(stepped.handed)


def test_the_status_of_a_node_that_is_given_up_stays_for_the_next_one(stepped: Stepped, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    node = stepped.another(Settings(1, poll=0.01, status_file=str(path)))

    def give_up() -> None:
        raise GivenUp

    node._tell(give_up)
    with pytest.raises(GivenUp):
        node.run()
    assert path.exists()
    stepped.another(Settings(1, status_file=str(path))).forgo()
    assert not path.exists()


def test_a_suspect_that_is_another_nodes_by_now_is_not_begun(stepped: Stepped) -> None:
    held = stepped.suspect()
    asked(stepped.thread, Request(changes=[lifecycle.rescue(held, Policy(), 0, 0.5)], cancels=[]))
    asked(stepped.thread, Request(cancels=[CancelAsked("s", "enough")]))
    stepped.node._floor.take(held)
    stepped.node._turn()
    stepped.until(lambda: not stepped.node._cycle.under_way)
    assert not stepped.handed()
    assert not stepped.node._floor.suspects.alone


def test_what_tells_something_has_begun_though_its_runner_shows_nothing_of_it_any_more(stepped: Stepped) -> None:
    stop = [member.runner.pid for member in stepped.node._floor.crew if member.ready]
    for pid in stop:
        os.kill(pid, signal.SIGSTOP)  # its mark stays as it is after the end of a task: empty
    (lane,) = asked(stepped.thread, lambda store: store.lanes())
    asked(stepped.thread, Request(submits=[submission("s", lane.number)]))
    stepped.node._look = True
    stepped.until(stepped.handed)
    (member,) = [member for member in stepped.node._floor.crew if member.handed]
    (attempt,) = member.handed.values()
    late = Said(attempt.held.key, attempt.held.claim - 1, "info", '{"late": 1}', "late")
    told = Said(attempt.held.key, attempt.held.claim, "info", '{"done": 1}', "done")
    stepped.node._floor.hear(Told(member.runner, [late, told]))  # what tells of an earlier claim is not heard
    stepped.until(lambda: stepped.stored().info)
    assert (stepped.kinds(), stepped.stored().info) == (["start", "info"], '{"done": 1}')
    for pid in stop:
        os.kill(pid, signal.SIGCONT)


def test_what_was_claimed_and_not_heard_of_yet_is_not_given_back_as_forgotten(
    stepped: Stepped, caplog: pytest.LogCaptureFixture
) -> None:
    node, (lane,) = stepped.node, asked(stepped.thread, lambda store: store.lanes())
    stepped.until(lambda: not node._cycle.under_way)
    asked(stepped.thread, Request(submits=[submission("s", lane.number)]))
    reply = asked(stepped.thread, node._cycle.request([Want([lane.number], 1)]))
    held = asked(stepped.thread, lambda store: store.held(node._number, 10))
    assert [task.id for task in held] == [task.id for task in reply.claims] == ["s"]
    for _ in range(2):  # what differs twice in a row is taken for a fault
        node._compare(held)
    node._answered(reply, None)
    assert not node._cycle.anything()
    stepped.until(stepped.handed)
    assert "given back" not in caplog.text


def test_a_store_that_cannot_be_written_is_complained_of_once_in_a_while(
    stepped: Stepped, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        stepped.node._answered(None, StoreFull("no room"))
    assert caplog.text.count("no room; trying again") == 1
    stepped.node._ticker.clear("retry")
