import os
import resource
import select
import signal
import time

import pytest

from duly import ports
from duly.errors import RunnerUnavailable
from duly.runner.pool import RESERVE, Pool
from duly.wire.runner import Done, Setup, Target, Work
from tests.helpers import alive, eventually, no_descriptors
from tests.runner import targets

LARGE = '"' + "x" * 100_000 + '"'


class Place:
    """A pool whose handlers are the tests' targets, and all that has been heard of it."""

    def __init__(self):
        self.pool = Pool(f"test-{os.urandom(8).hex()}")
        self.heard = []

    def start(self, *names, preload=True, isolation="process"):
        chosen = [
            Target(module=targets.__name__, file=targets.__file__, attribute=name, isolation=isolation)
            for name in names
        ]
        self.pool.start(Setup(targets=chosen, preload=preload))

    def spawn(self):
        runner = self.pool.spawn()
        self.until(lambda: any(born.runner is runner for born in self.of(ports.Born)))
        return runner

    def of(self, kind):
        return [event for event in self.heard if isinstance(event, kind)]

    def until(self, condition):
        def listen():
            self.heard += self.pool.events(0.02)
            return condition()

        return eventually(listen)

    def done(self, count):
        """Wait for so many answers."""
        return self.until(lambda: len(answers := self.answers()) >= count and answers)

    def answers(self):
        return [message for told in self.of(ports.Told) for message in told.messages if isinstance(message, Done)]

    def end_of(self, runner):
        ended = self.until(lambda: [ended for ended in self.of(ports.Ended) if ended.runner is runner])
        runner.close()
        return ended[0]

    def printed(self):
        return b"".join(event.data for event in self.of(ports.Printed))


@pytest.fixture
def place():
    place = Place()
    yield place
    runners = list(place.pool.runners.values())
    place.pool.close()
    assert not any(alive(runner.pid) for runner in runners)


def work(key, target=0, options="null", **more):
    return Work(key, 1, target, payload=options, **more)


def test_one_runner_runs_many_tasks_in_turn(place):
    place.start("echo", "async_echo")
    runner = place.spawn()

    for key in range(1, 51):
        assert runner.hand(work(key, key % 2, str(key)))

    answers = place.done(50)
    assert [(done.key, done.value, done.retire) for done in answers] == [(k, str(k), False) for k in range(1, 51)]


def test_what_a_task_prints_is_told_with_its_task(place):
    place.start("say", "echo")
    runner = place.spawn()

    runner.hand(work(1))
    runner.hand(work(2, 1))
    runner.hand(work(3))
    place.done(3)

    printed = place.of(ports.Printed)
    assert list(dict.fromkeys(event.task for event in printed if event.data)) == [(1, 1), (3, 1)]
    assert {(1, 1), (3, 1)} <= {event.task for event in printed if event.last}  # one that took long tells its end, too
    assert place.printed().count(b"from a child\n") == 2


def test_a_flood_of_output_reaches_the_supervisor_in_bounded_pieces(place):
    place.start("flood")
    place.spawn().hand(work(1, options="50000"))

    place.done(1)

    assert len(place.printed()) == 5_000_000
    assert max(len(event.data) for event in place.of(ports.Printed)) <= 5 * 64 * 1024


@pytest.mark.parametrize("name", ["leave_children", "daemon_thread_that_never_ends", "swallow"])
def test_a_runner_is_not_used_again_once_something_is_left_behind(place, name, tmp_path):
    path = tmp_path / "pids"
    place.start(name)
    runner = place.spawn()
    runner.hand(work(1, options=f'"{path}"'))
    if name == "swallow":
        place.until(runner.running)
        runner.climb("kill", 1, 1, "timeout")
        assert place.end_of(runner).signal == signal.SIGKILL
        return

    assert place.done(1)[0].retire

    runner.retire()
    assert place.end_of(runner).exit_code == 0
    assert not any(alive(int(pid)) for pid in (path.read_text().split() if path.exists() else ()))


def test_a_task_that_is_asked_says_that_it_was_stopped(place):
    place.start("linger", "echo")
    runner = place.spawn()
    runner.hand(work(1, options='"x"'))
    place.until(runner.running)

    runner.climb("ask", 1, 1, "cancel")

    done = place.done(1)[0]
    assert (done.kind, done.retire) == ("stopped", True)


def test_asking_a_task_that_is_over_hits_no_other(place):
    place.start("echo", "wait_for")
    runner = place.spawn()
    runner.hand(work(1))
    place.done(1)

    runner.climb("ask", 1, 1, "cancel")
    runner.hand(work(2, options="5"))

    assert place.done(2)[1].value == "5"


def test_what_a_runner_has_not_read_can_be_taken_back_exactly(place, tmp_path):
    path = tmp_path / "held"
    place.start("wait_for", "echo")
    runner = place.spawn()
    runner.hand(work(1, options=f'"{path}"'))
    eventually(path.exists)
    for key in range(2, 12):
        runner.hand(work(key, 1, "null" if key % 2 else '"' + "x" * 100_000 + '"'))

    assert runner.take_back() == [(key, 1) for key in range(2, 12)]

    path.unlink()
    assert [done.key for done in place.done(1)] == [1]
    assert runner.take_back() == []


def test_a_fork_that_comes_back_neither_answers_nor_takes_work(place):
    place.start("return_twice", "echo")
    runner = place.spawn()
    runner.hand(work(1))
    for key in range(2, 30):
        runner.hand(work(key, 1, str(key)))

    answers = place.done(29)

    assert [done.key for done in answers] == list(range(1, 30))
    assert answers[0].value == '"the parent\'s"'


def test_a_fork_that_ends_before_it_began_is_answered_for(place):
    doom = Target(module=targets.__name__, file=targets.__file__, attribute="doom_forks")
    fresh = Target(module=targets.__name__, file=targets.__file__, attribute="echo", isolation="fresh")
    place.pool.start(Setup(targets=[doom, fresh], preload=True))
    runner = place.spawn()
    runner.hand(work(1))
    place.done(1)

    runner.hand(work(2, 1))

    assert [(done.kind, done.status) for done in place.done(2)[1:]] == [("died", -9)]


def test_a_runner_that_sends_what_is_no_message_is_killed(place):
    place.start("write_everywhere")
    runner = place.spawn()
    runner.hand(work(1))

    assert place.end_of(runner).signal == signal.SIGKILL


def test_a_runner_that_closes_its_output_does_not_keep_the_supervisor_busy(place, tmp_path):
    path = tmp_path / "pid"
    place.start("be_silent")
    runner = place.spawn()
    runner.hand(work(1, options=f'"{path}"'))
    place.until(path.exists)
    place.until(lambda: runner.output.at_end)
    place.heard += place.pool.events(0.1)

    assert not select.select([place.pool], [], [], 0.2)[0]
    runner.climb("kill", 1, 1, "")
    place.end_of(runner)


def test_what_runs_at_the_zygotes_end_ends_with_it(place, tmp_path):
    path = tmp_path / "pids"
    place.start("leave_children_and_spin")
    runner = place.spawn()
    runner.hand(work(1, options=f'"{path}"'))
    eventually(lambda: path.exists() and len(path.read_text().split()) == 4)
    labelled = path.read_text().split()[:3]  # the last has no label, and can be found by nobody

    os.kill(place.pool._process.pid, signal.SIGKILL)
    place.until(lambda: place.of(ports.Lost))

    eventually(lambda: not alive(runner.pid) and not any(alive(int(pid)) for pid in labelled), 15)
    runner.close()
    os.kill(int(path.read_text().split()[3]), signal.SIGKILL)


def test_a_zygote_that_owes_an_answer_for_too_long_is_killed_and_no_other(place):
    place.start("echo")
    runner, clock = place.spawn(), 1e6
    os.kill(place.pool._process.pid, signal.SIGSTOP)
    for seconds in (1, 3600, 1, 1):  # it owes nothing
        clock += seconds
        place.pool.look(clock)
    assert not place.pool.events(0.1)

    runner.climb("kill", 0, 0, "")
    place.until(lambda: runner.ended)
    for seconds in (1, 3600, 1, 1, 1, 1, 1, 1):  # of a long sleep little is counted: it may have slept, too
        clock += seconds
        place.pool.look(clock)
    assert not place.pool.events(0.1)

    place.pool.look(clock + 2)
    place.until(lambda: place.of(ports.Lost))
    runner.close()


def test_closing_a_pool_ends_all_that_runs(place, tmp_path):
    path = tmp_path / "pids"
    place.start("leave_children_and_spin")
    for key in (1, 2):
        place.spawn().hand(work(key, options=f'"{path}"'))
    eventually(lambda: path.exists() and len(path.read_text().split()) == 8)
    started = time.monotonic()

    place.pool.close()

    assert not any(alive(int(pid)) for pid in path.read_text().split())
    assert time.monotonic() - started < 5


def test_a_kill_sweeps_what_that_runner_left_and_no_other(place, tmp_path):
    place.start("leave_children_and_spin")
    runners = []
    for key in (1, 2):
        path = tmp_path / str(key)
        runner = place.spawn()
        runner.hand(work(key, options=f'"{path}"'))
        eventually(lambda path=path: path.exists() and len(path.read_text().split()) == 4)
        runners.append((runner, [int(pid) for pid in path.read_text().split()]))
    (first, its), (second, others) = runners

    first.climb("kill", 1, 1, "timeout")
    place.end_of(first)

    assert not any(map(alive, its))
    assert all(map(alive, [second.pid, *others]))


def test_a_handler_that_cannot_be_had_is_told_before_any_work(place):
    place.start("echo", "nothing")

    place.until(lambda: place.of(ports.Prepared))

    problems = place.of(ports.Prepared)[0].problems
    assert [(problem.target, problem.found) for problem in problems] == [(1, False)]


def test_nothing_of_the_supervisors_is_open_in_a_runner(place, tmp_path):
    secret = open(tmp_path / "secret", "w")  # noqa: SIM115 - it is to be open
    os.set_inheritable(secret.fileno(), True)
    place.start("open_files")
    place.spawn().hand(work(1))

    files = place.done(1)[0].value

    assert "secret" not in files
    secret.close()


def test_where_descriptors_are_short_none_is_lost_at_each_try(place):
    place.start("echo")
    runner = place.spawn()
    before = os.listdir("/proc/self/fd")
    for room in range(8 + RESERVE):
        with no_descriptors(but=room):
            if room == 0:
                assert not runner.hand(work(1, options=LARGE))
            with pytest.raises(RunnerUnavailable):
                place.pool.spawn()
    assert os.listdir("/proc/self/fd") == before


def test_a_supervisor_without_descriptors_hears_that_a_large_answer_could_not_come(place):
    place.start("echo")
    runner = place.spawn()
    assert runner.hand(work(1, options=LARGE))
    with no_descriptors():
        assert [(done.kind, done.error.type) for done in place.done(1)] == [("raised", "OSError")]
    assert runner.hand(work(2, options=LARGE))
    assert place.done(2)[1].value == LARGE, "it goes on"


def test_a_supervisor_without_descriptors_takes_back_what_is_large(place, tmp_path):
    place.start("echo", "be_silent")
    runner = place.spawn()
    runner.hand(work(1, 1, options=f'"{tmp_path}/pid"'))
    place.until((tmp_path / "pid").exists)
    assert runner.hand(work(2, options=LARGE))
    with no_descriptors():
        assert runner.take_back() == [(2, 1)]


@pytest.mark.parametrize("how", ["process", "shared"])
def test_a_runner_without_descriptors_says_that_it_cannot_have_what_is_large(place, how):
    place.start("take_all_files", "async_take_all_files", isolation=how)
    runner = place.spawn()
    target = int(how == "shared")
    assert runner.hand(work(1, target, options="7"))
    place.done(1)
    assert runner.hand(work(2, target, options=LARGE))
    _, told = place.done(2)
    why = "no file descriptor was free to receive the payload by"
    assert (told.kind, told.error.message, told.retire) == ("raised", why, True)
    assert not place.of(ports.Ended)


def test_a_runner_in_which_files_were_left_open_asks_to_be_replaced(place):
    place.start("leave_files_open")
    runner = place.spawn()
    for key in range(1, 9):
        runner.hand(work(key, options="10"))
        place.done(key)
    assert [done.retire for done in place.answers()] == 8 * [False]
    runner.hand(work(9, options=str(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)))
    assert place.done(9)[8].retire
