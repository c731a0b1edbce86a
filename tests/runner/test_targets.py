import functools
import os
import subprocess
import sys
import types

import pytest

import duly
from duly import perform
from duly.runner.targets import describe, from_callable, resolve
from duly.wire.runner import Target
from tests.runner import targets

FILE = targets.__file__
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("tests.runner.targets:echo", 1),
        ("tests.runner.targets:Things.static", ["static", 1]),
        ("tests.runner.targets", {"default": 1}),
        (f"{FILE}:echo", 1),
        (FILE, {"default": 1}),
        (os.path.relpath(FILE) + ":echo", 1),
        (targets, {"default": 1}),
        (targets.echo, 1),
        (targets.Things.static, ["static", 1]),
        (targets.Things.of_class, ["Things", 1]),
    ],
)
def test_a_target_may_be_named_in_many_ways(target, value):
    assert resolve(describe(target))(1) == value


def test_a_path_object_names_a_file(tmp_path):
    path = tmp_path / "one.py"
    path.write_text("def task(options): return options + 1\n")

    assert perform(path, 1).value == 2


def lambda_of_a_module(options):
    return options


decorated_twice = functools.wraps(lambda_of_a_module)(lambda options: "decorated")
a_lambda = lambda options: options  # noqa: E731 - it is what is refused


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (a_lambda, "only find a function at the top of a module"),
        (functools.partial(targets.echo), "give a function of a module"),
        (targets.Things().method, "give a function that makes its own"),
        ([].append, "bound to an object"),
        (decorated_twice, "stands something else"),
        (5, "a target is text, a module or a function"),
        (None, "a target is text, a module or a function"),
        ("", "a target reads"),
        ("tests.runner.targets:", "a target reads"),
        ("tests.runner.targets:not a name", "a target reads"),
        ("no_such_module:task", "there is no module 'no_such_module' on sys.path"),
        ("tests.no_such_module:task", "there is no module"),
        ("os.path.join.deeper:task", "there is no module"),
        ("a-b:task", "there is no module"),
        ("no/such/file.py:task", "there is no file"),
        ("no_such_file.py", "there is no file"),
    ],
)
def test_what_no_other_process_can_find_is_refused_at_once_with_the_cure(target, said):
    with pytest.raises(duly.TargetNotFound, match=said):
        describe(target)


def test_a_closure_is_refused():
    def inner(options):
        return options

    with pytest.raises(duly.TargetNotFound, match="exists only here"):
        perform(inner)


def test_a_function_that_was_replaced_in_its_module_is_refused():
    module = types.ModuleType("replaced")
    exec("def f(options): return 1", module.__dict__)
    sys.modules["replaced"] = module
    try:
        old = module.f
        exec("def f(options): return 2", module.__dict__)
        with pytest.raises(duly.TargetNotFound, match="stands something else"):
            describe(old)
    finally:
        del sys.modules["replaced"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{FILE}:nothing", "has no attribute 'nothing'"),
        ("tests.runner.targets:Things.nothing", "has no attribute 'Things.nothing'"),
        (f"{FILE}:duly.__version__", "cannot be called"),
    ],
)
def test_what_is_not_in_the_module_is_told_by_the_other_process(target, said):
    with pytest.raises(duly.TargetNotFound, match=said):
        perform(target)


def test_a_module_that_fails_to_import_is_a_failure_that_shows_its_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import json\nraise ValueError('while importing')\n")

    with pytest.raises(duly.TaskFailed, match="ValueError: while importing") as caught:
        perform(f"{path}:task")

    assert caught.value.error.traceback.count("File ") == 1
    assert f'File "{path}", line 2' in caught.value.error.traceback


def test_a_module_that_misses_another_says_which(tmp_path):
    path = tmp_path / "lacking.py"
    path.write_text("import no_such_module\n")

    with pytest.raises(duly.TaskFailed, match="ModuleNotFoundError: No module named 'no_such_module'"):
        perform(path)


def test_a_module_with_a_syntax_error_says_where(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text("def task(options)\n    pass\n")

    with pytest.raises(duly.TaskFailed, match="SyntaxError") as caught:
        perform(path)

    assert "line 1" in caught.value.error.traceback


def test_a_module_that_exits_while_it_is_imported_has_died(tmp_path):
    path = tmp_path / "leaving.py"
    path.write_text("import sys\nsys.exit(4)\n")

    with pytest.raises(duly.TaskDied) as caught:
        perform(path)

    assert caught.value.exit_code == 4


def test_of_two_modules_of_one_name_the_callers_is_meant(tmp_path):
    for name, value in (("first", 1), ("second", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "twins.py").write_text(f"def task(options): return {value}\n")
    target = Target(module="twins", file=str(tmp_path / "second" / "twins.py"))
    sys.path.insert(0, str(tmp_path / "first"))
    try:
        assert resolve(target)(None) == 2
    finally:
        sys.path.remove(str(tmp_path / "first"))
        for name in ("twins", "duly_target_twins"):
            sys.modules.pop(name, None)


def program(*arguments, text=None, cwd=None):
    done = subprocess.run(
        [sys.executable, *arguments], input=text, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr.rpartition("duly.errors.")[2]


MAIN = """
import duly

def double(options):
    return 2 * options

if __name__ == "__main__":
    print(duly.perform(double, 4).value, duly.perform("__main__:double", 5).value)
"""


def test_a_function_of_the_program_itself_is_found_and_its_main_part_not_run_again(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "main.py").write_text(MAIN)

    assert program(str(tmp_path / "package" / "main.py")) == "8 10\n"
    assert program("-m", "package.main", cwd=tmp_path) == "8 10\n"


@pytest.mark.parametrize("arguments", [["-c", MAIN], ["-"]])
def test_a_function_of_a_program_without_a_file_is_refused_with_the_cure(arguments):
    said = program(*arguments, text=MAIN)

    assert said.startswith("TargetNotFound: double was defined at a prompt or in a notebook")
    assert "put it into a module" in said


def test_an_action_is_found_by_its_function_before_it_has_its_name():
    assert from_callable(targets.echo) == Target(module=targets.__name__, file=FILE, attribute="echo")
