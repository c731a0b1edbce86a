"""What a handler may do with other tasks: submit, look, cancel and wait, over the line to its supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import duly
from duly.app import App
from duly.engine.desk import MOST_CHANGED
from duly.engine.inside import Inside
from duly.wire.runner import Ask, encode
from tests.engine import family
from tests.engine.making import SECONDS
from tests.helpers import eventually

MIB = 1024 * 1024


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(f"sqlite:///{tmp_path}/tasks.db", max_payload=MIB) as app:
        yield app


def run(app: App, name: str, *arguments: Any, **options: Any) -> Any:
    """Submit a handler of the family, and return what it comes to."""
    action = app.action(f"family:{name}", max_attempts=1, **options)(getattr(family, name))
    with app.worker(2):
        return action.submit(*arguments).result(timeout=SECONDS)


@pytest.fixture
def echo(app: App) -> Any:
    return app.action("family:echo", priority="high")(family.echo)


def test_a_child_is_stored_when_its_submit_returns_and_is_a_task_like_any_other(app: App, echo: Any) -> None:
    child = app.handle(run(app, "have", [1, "two"]))
    with app.worker(1):
        assert child.result(timeout=SECONDS) == [1, "two"]


def test_hundreds_are_submitted_at_once_by_coroutines(app: App, echo: Any) -> None:
    children = run(app, "have_soon", 300)
    assert len(set(children)) == 300
    assert {task.id for task in app.tasks(action="family:echo")} == set(children)


def test_and_by_threads(app: App, echo: Any) -> None:
    children = run(app, "have_by_threads", 200)
    assert len(set(children)) == 200
    assert {task.id for task in app.tasks(action="family:echo")} == set(children)


def test_many_are_submitted_in_several_steps_and_once(app: App) -> None:
    assert run(app, "have_many") == family.MANY
    assert len(list(app.tasks(action="family:echo"))) == family.MANY


def test_nothing_is_left_behind_by_asking_and_the_runner_is_used_on(app: App, echo: Any) -> None:
    have = app.action("family:have")(family.have)
    pid = app.action("family:pid")(family.pid)
    with app.worker(1):
        before = pid.submit().result(timeout=SECONDS)
        have.submit().result(timeout=SECONDS)
        assert pid.submit().result(timeout=SECONDS) == before


def test_an_action_that_nobody_declared_waits_for_somebody_who_does(app: App) -> None:
    child = app.handle(run(app, "have", 1, "else:where"))
    assert child.refresh().state == "ready"


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("app.submit('no name')", "action_invalid", "no name"),
        ("app.submit('family:echo', {'value': 'x' * 2_000_000})", "payload_invalid", "1,048,576"),
        ("app.submit('family:echo', 1, queue='No Queue')", "action_invalid", "No Queue"),
        ("app.cancel('unknown')", "not_found", "unknown"),
        ("app.retry(task.id)", "retry_refused", "runs"),
        ("app.handle('unknown').refresh()", "not_found", "unknown"),
        ("app.handle(task.id).wait()", "would_deadlock", "allow_wait"),
        ("app.handle(task.id).result(default=1)", "would_deadlock", "allow_wait"),
        ("next(app.handle(task.id).events())", "would_deadlock", "allow_wait"),
        ("app.worker()", "worker_misplaced", "worker"),
        ("app.examine()", "not_available", "inside a handler"),
    ],
)
def test_what_is_refused_is_refused_by_the_same_errors_as_elsewhere(app: App, what: str, code: str, words: str) -> None:
    told = run(app, "try_to", what)
    assert told[0] == code
    assert words in told[1]


def test_a_question_too_large_for_the_descriptors_that_are_left_is_refused_by_name(app: App, echo: Any) -> None:
    take_all = "__import__('resource').setrlimit(__import__('resource').RLIMIT_NOFILE, (3, 3))"
    take_all = f"app.submit('family:echo', 1) and {take_all}"
    code, words = run(app, "try_to", f"{take_all} or app.submit('family:echo', {{'value': 'x' * 100_000}})")
    assert (code, words) == ("store_unavailable", "the worker had no file descriptor left to hear this by")


def test_a_passport_made_by_hand_is_refused_if_no_store_could_keep_it(app: App) -> None:
    made = "__import__('duly').Passport(id='{}', action='a:b', version={}, payload_json='1')"
    for passport in (made.format("x", 1 << 61), made.format("x" * 300, 1), made.format("", 1)):
        code, _ = run(app, "try_to", f"app.submit({passport})")
        assert code in ("invalid", "option_invalid")
        del app._actions["family:try_to", 1]


def test_a_handler_looks_at_tasks_as_everybody_does(app: App, echo: Any) -> None:
    task = echo.submit(1)
    with app.worker(1):
        task.result(timeout=SECONDS)
    assert run(app, "look", task.id) == ["succeeded", ["init", "start", "success"], 1]


# cancelling


def test_a_handler_cancels_a_sibling_that_runs(app: App, tmp_path: Path) -> None:
    stay = app.action("family:stay", grace=5)(family.stay)
    cancel = app.action("family:cancel")(family.cancel)
    with app.worker(2):
        sibling = stay.submit(f"{tmp_path}/begun")
        eventually((tmp_path / "begun").exists)
        assert cancel.submit(sibling.id).result(timeout=SECONDS) == "asked"
        assert sibling.wait(SECONDS).state == "cancelled"
    with pytest.raises(duly.TaskCancelled, match="a sibling said so"):
        sibling.result()


def test_a_handler_cancels_itself(app: App) -> None:
    with pytest.raises(duly.TaskCancelled, match="had enough"):
        run(app, "cancel_oneself", grace=5)


# waiting


@pytest.mark.parametrize("runners", [1, 2])
def test_who_may_wait_gets_the_value_though_all_runners_wait(app: App, echo: Any, runners: int) -> None:
    wait = app.action("family:wait", max_attempts=1, timeout=20)(family.wait)
    with app.worker(runners):
        assert wait.submit("deep", depth=3).result(timeout=SECONDS) == "deep"
        assert [handle.result(timeout=SECONDS) for handle in [wait.submit(n) for n in range(5)]] == list(range(5))


def test_a_coroutine_waits_for_several_at_once(app: App, echo: Any) -> None:
    assert run(app, "wait_soon", 7) == [7, 7, 7]


def test_what_a_runner_was_handed_behind_one_that_waits_is_done_elsewhere(app: App, echo: Any) -> None:
    """Their kind was short until now, so that many are handed over together."""
    wait = app.action("family:mixed")(family.mixed)
    with app.worker(1):
        for _ in range(3):
            for handle in app.submit_many(wait.passport(False) for _ in range(40)):
                handle.wait(SECONDS)
        handles = app.submit_many(wait.passport(n == 3) for n in range(10))
        assert [handle.result(timeout=SECONDS) for handle in handles] == [n == 3 for n in range(10)]


def test_who_waits_for_ever_can_be_stopped(app: App, tmp_path: Path) -> None:
    stay = app.action("family:stay")(family.stay)
    wait = app.action("family:wait_for", grace=20)(family.wait_for)
    with app.worker(2):
        sibling = stay.submit()
        waiter = wait.submit(sibling.id, f"{tmp_path}/begun")
        eventually((tmp_path / "begun").exists)
        assert waiter.cancel() == "asked"
        assert waiter.wait(10).state == "cancelled", "long before its grace is over"
        sibling.cancel()
        sibling.wait(SECONDS)


def test_a_worker_that_drains_goes_on_to_answer(app: App, tmp_path: Path) -> None:
    have = app.action("family:several")(family.have_one_after_another)
    with app.worker(1):
        handle = have.submit(100, f"{tmp_path}/begun")
        eventually((tmp_path / "begun").exists)
    assert handle.result() == 100
    assert len(list(app.tasks(action="family:echo"))) == 100


# who may not ask


def test_a_fork_cannot_ask(app: App, echo: Any, tmp_path: Path) -> None:
    run(app, "fork_an_asker", f"{tmp_path}/told")
    assert "forked" in (tmp_path / "told").read_text()


# hostile ones


@pytest.mark.parametrize(("verb", "body"), [("leave", "90"), ("find", "c1"), ("watch", "")])
def test_who_asks_nonsense_ends_and_nobody_else(app: App, echo: Any, verb: str, body: str) -> None:
    nonsense = app.action("family:nonsense", timeout=5, grace=0.2, max_attempts=1)(family.talk_nonsense)
    with app.worker(1):
        handle = nonsense.submit(verb, body)  # the store's first task has the key 1
        assert handle.wait(SECONDS).cause == "died"
        assert echo.submit(42).result(timeout=SECONDS) == 42


def test_who_asks_without_end_and_never_listens_ends(app: App, echo: Any) -> None:
    deaf = app.action("family:deaf", timeout=30, max_attempts=1)(family.ask_and_never_listen)
    with app.worker(1):
        handle = deaf.submit(echo.submit("x" * 60_000).id)
        assert handle.wait(SECONDS).cause == "died"
        assert echo.submit(42).result(timeout=SECONDS) == 42


def test_a_result_that_is_too_large_is_invalid(app: App) -> None:
    action = app.action("family:large")(family.large)
    with app.worker(1):
        assert action.submit(2 * MIB).wait(SECONDS).cause == "invalid"
        assert action.submit(MIB - 2).wait(SECONDS).ok


def test_what_comes_too_late_for_a_lost_runner_is_no_answer_to_the_next_of_its_number() -> None:
    late: list[Any] = []
    thread = SimpleNamespace(post=lambda _job, done: late.append(done), address="")
    inside = Inside(cast(Any, thread), lambda do: do(), [], MIB)
    lost, next_one = (SimpleNamespace(number=1, heard=[]) for _ in range(2))
    for runner in (lost, next_one):
        runner.answer = runner.heard.append

    inside.hear(cast(Any, lost), Ask(1, 1, 1, "last_update", encode(("a",))))
    inside.gone(lost.number)
    inside.hear(cast(Any, next_one), Ask(2, 1, 1, "last_update", encode(("b",))))
    late[0]("of a", None)
    assert (lost.heard, next_one.heard) == ([], [])
    late[1]("of b", None)
    assert [answered.number for answered in next_one.heard] == [1]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("app.handle(7).refresh()", "bad task id 7"),
        ("app.cancel(task.id, reason=None)", "bad reason None"),
        ("app.submit('family:none', 1, version='2')", "bad version '2'"),
        ("task.submit(7)", "Expected `str`, got `int`"),
        ("task.submit('family:none', 1, queue=7)", "Expected `str | null`, got `int`"),
    ],
)
def test_a_question_with_what_is_of_another_type_is_refused_in_the_handler(app: App, what: str, words: str) -> None:
    code, told = run(app, "try_to", what)
    assert code == "option_invalid"
    assert words in told


@pytest.mark.parametrize("most", [-1, MOST_CHANGED + 1])
@pytest.mark.parametrize(
    "verb", ["page({}, 'newest', None, {})", "cancel_page({}, None, {}, '')", "retry_page({}, None, {})"]
)
def test_who_asks_for_a_page_without_end_is_refused(app: App, verb: str, most: int) -> None:
    """Only code that got hold of the desk does: all that would be one transaction."""
    asked = "app._desk." + verb.format("__import__('duly').ports.Filter()", most)
    code, told = run(app, "try_to", f"__import__('duly').engine.asking.ask(app._store(), {asked})")
    assert code == "option_invalid"
    assert f"{verb.partition('(')[0]} cannot be asked for with this" in told
