"""Where a performed callable finds itself, and callers in unusual circumstances."""

import ast
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import duly
from duly import perform
from tests.helpers import alive, eventually
from tests.runner import targets

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = os.pathsep.join([str(ROOT), os.path.dirname(os.path.dirname(duly.__file__))])


def script(folder, body):
    """Write a program that may use duly and the tests' targets; return its path."""
    head = "import os, signal, sys, threading\nimport duly\nfrom tests.runner import targets\n"
    path = folder / "program.py"
    path.write_text(head + textwrap.dedent(body))
    return str(path)


def run(path, **options):
    environment = {**os.environ, "PYTHONPATH": PATH}
    done = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# surroundings


def test_it_has_the_callers_path_and_directory(monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def task(options): return options\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert perform("only_here", 7).value == 7
    assert perform("only_here.py", 8).value == 8
    assert perform(targets.surroundings).value["cwd"] == str(tmp_path)


def test_the_callers_path_is_found_from_another_directory(monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def task(options): return options\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", Path("unused"), *sys.path])

    assert perform("only_here", 7, cwd="/").value == 7


def test_it_works_where_it_is_told_to(tmp_path):
    assert perform(targets.surroundings, cwd=tmp_path).value["cwd"] == str(tmp_path)


def test_it_inherits_the_environment_but_for_what_is_dulys(monkeypatch):
    monkeypatch.setenv("MINE", "1")
    monkeypatch.setenv("DULY_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("PGPASSWORD", "of the task's own database, for all that duly knows")

    environment = perform(targets.surroundings).value["env"]

    assert environment["MINE"] == "1"
    assert "PGPASSWORD" in environment
    assert "DULY_URL" not in environment
    assert not [value for value in environment.values() if "secret" in value]


def test_a_given_environment_replaces_it(monkeypatch):
    monkeypatch.setenv("MINE", "1")

    environment = perform(targets.surroundings, env={"YOURS": "2"}).value["env"]

    assert environment["YOURS"] == "2"
    assert not {"MINE", "PATH", "HOME"} & set(environment)


@pytest.mark.parametrize("env", [{"a=b": "c"}, {"a": 1}, {"a": "\0"}, {1: "a"}])
def test_an_environment_that_cannot_be_is_refused(env):
    with pytest.raises(duly.OptionInvalid, match="env: "):
        perform(targets.echo, env=env)


def test_a_directory_that_is_not_there_starts_nothing():
    with pytest.raises(duly.RunnerUnavailable, match="nowhere"):
        perform(targets.echo, cwd="/nowhere")


# output


def test_what_it_prints_passes_through_line_by_line(capfd):
    perform(targets.say)

    out, err = capfd.readouterr()
    assert out == "to stdout\nfrom a child\n"
    assert err == "to stderr\n"


def test_a_flood_of_output_passes_through_whole(capfd):
    perform(targets.flood, 50_000)

    assert len(capfd.readouterr().out) == 5_000_000


@pytest.mark.parametrize(
    "target", [targets.close_standard_files, targets.close_standard_streams, targets.replace_standard_streams]
)
def test_what_it_does_to_its_standard_files_is_its_own_affair(target):
    assert perform(target).value == "answered"


def test_there_is_nothing_to_read_on_its_standard_input():
    assert perform(targets.read_stdin).value == ""


@pytest.mark.parametrize("target", [targets.close_all_files, targets.write_everywhere])
def test_code_that_breaks_the_channel_has_died(target):
    with pytest.raises(duly.TaskDied):
        perform(target, timeout=30)


def test_code_that_takes_all_descriptors_answers_or_is_told_what_is_missing():
    assert perform(targets.take_all_files, 10).value == "x" * 10
    with pytest.raises(duly.TaskFailed, match=r"no file descriptor was free to tell an answer of 100,0\d\d bytes by"):
        perform(targets.take_all_files, 100_000)


def test_code_that_fails_for_want_of_descriptors_is_told_by_its_own_error():
    for size in (10, 200_000):  # of the path in its traceback
        with pytest.raises(duly.TaskFailed, match="Too many open files"):
            perform(targets.take_more_than_all_files, size)


def test_exit_functions_are_not_run(tmp_path):
    path = tmp_path / "ran"

    assert perform(targets.exit_function_is_left_alone, str(path)).value == "answered"

    assert not path.exists()


# callers


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_open_however_it_ends():
    ends = [(targets.echo, 1), (targets.leave, 1), (targets.kill_the_zygote, None), (targets.raise_value_error, "")]
    for target, options in ends:
        before = open_descriptors()
        with suppress(duly.TaskError):
            perform(target, options, timeout=30)
        assert open_descriptors() == before, target


def test_many_threads_may_perform_at_once():
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda number: perform(targets.echo, number).value, range(16)))

    assert values == list(range(16))


def test_a_caller_that_blocks_and_ignores_signals_is_served_as_any_other(tmp_path):
    program = """
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            duly.perform(targets.clean_up, sys.argv[0] + ".said", timeout=0.2, grace=30)
        except duly.TaskTimedOut:
            print("timed out")
        try:
            duly.perform(targets.leave, 3)
        except duly.TaskDied as died:
            print(died.exit_code)
    """
    assert run(script(tmp_path, program)) == "timed out\n3\n"


def test_a_fork_of_the_caller_that_lives_on_keeps_nobody_waiting(tmp_path):
    program = f"""
        done = []
        path = {str(tmp_path / "begun")!r}
        thread = threading.Thread(target=lambda: done.append(duly.perform(targets.wait_for, path)))
        thread.start()
        while not os.path.exists(path):
            pass
        forked = os.fork()
        if forked == 0:
            signal.pause()
        os.unlink(path)
        thread.join(30)
        print(done)
        sys.stdout.flush()
        os.kill(forked, signal.SIGKILL)
        os._exit(0)
    """
    assert run(script(tmp_path, program)) == "[Performed(ok=True, value='gone')]\n"


def test_a_caller_whose_standard_files_are_closed_is_served_as_any_other(tmp_path):
    program = f"""
        said = os.open({str(tmp_path / "said")!r}, os.O_WRONLY | os.O_CREAT)
        os.closerange(0, 3)
        performed = duly.perform(targets.say)
        os.write(said, repr(performed.value).encode())
    """
    run(script(tmp_path, program))

    assert (tmp_path / "said").read_text() == "'said'"


def test_a_caller_without_descriptors_is_told_that_nothing_can_be_started(tmp_path):
    program = """
        import resource
        duly.perform
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        seen = set()
        while taken and "ok" not in seen:
            try:
                seen.add("ok" if duly.perform(abs, -1).ok else "no")
            except duly.DulyError as error:
                seen.add(type(error).__name__)
            os.close(taken.pop())
        print(sorted(seen))
    """
    assert ast.literal_eval(run(script(tmp_path, program))) == ["RunnerUnavailable", "ok"]


@pytest.mark.parametrize(("presses", "target"), [(1, "sleep"), (2, "sleep_on")])
def test_ctrl_c_leaves_nothing_behind(presses, target, tmp_path):
    path = tmp_path / "pid"
    program = f"""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            duly.perform(targets.{target}, {str(path)!r}, grace=60)
        except KeyboardInterrupt:
            pid = open({str(path)!r}).read().split()[0]
            print("interrupted", os.path.exists("/proc/" + pid))
    """
    environment = {**os.environ, "PYTHONPATH": PATH}
    caller = subprocess.Popen([sys.executable, script(tmp_path, program)], env=environment, stdout=subprocess.PIPE)
    try:
        eventually(lambda: path.exists() and path.read_text())
        for press in range(presses):
            caller.send_signal(signal.SIGINT)
            if press == 0 and presses > 1:
                eventually(lambda: "asked" in path.read_text())
        assert caller.communicate(timeout=30)[0] == b"interrupted False\n"
    finally:
        caller.kill()
        caller.communicate()


@pytest.mark.parametrize("forked", [False, True])
def test_a_caller_that_is_killed_leaves_nothing_behind(forked, tmp_path):
    """Also where a fork of it lives on, and holds copies of all that it had open."""
    path, copy = tmp_path / "pids", tmp_path / "forked"
    program = f"""
        def fork():
            while len(open({str(path)!r}).read().split()) < 4:
                pass
            if os.fork() == 0:
                targets.note({str(copy)!r}, os.getpid())
                signal.pause()
        open({str(path)!r}, "w").close()
        if {forked}:
            threading.Thread(target=fork).start()
        duly.perform(targets.leave_children_and_spin, {str(path)!r})
    """
    environment = {**os.environ, "PYTHONPATH": PATH}
    caller = subprocess.Popen([sys.executable, script(tmp_path, program)], env=environment)
    try:
        eventually(lambda: path.exists() and len(path.read_text().split()) == 4)
        if forked:
            eventually(lambda: copy.exists() and copy.read_text())
        caller.kill()
        caller.wait()
        eventually(lambda: not any(alive(int(pid)) for pid in path.read_text().split()), 10)
    finally:
        caller.kill()
        caller.wait()
        if forked:
            os.kill(int(copy.read_text()), signal.SIGKILL)
