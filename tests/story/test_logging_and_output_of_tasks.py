"""Log records say which task they are of, and each line a task prints is told as that task's."""

from __future__ import annotations

import json
import re
from typing import Any

SHOP = """
    import asyncio, logging, sys, threading
    import duly

    logging.basicConfig(level=logging.INFO, format="%(message)s by %(action)s %(task_id)s in %(attempt)d")
    logging.root.handlers[0].addFilter(duly.TaskFilter())
    log = logging.getLogger("shop")
    log.info("imported")
    bare = logging.getLogger("bare")  # its records are not filtered
    bare.propagate = False
    bare.addHandler(logging.StreamHandler())
    bare.handlers[0].setFormatter(logging.Formatter("%(message)s by %(action)s %(task_id)s in %(attempt)d"))
    app = duly.App("sqlite:///tasks.db")

    @app.action("shop:plain", max_attempts=2, retry=duly.Backoff(first=0))
    def plain(task: duly.Task) -> str:
        log.info("plain")
        bare.info("bare")
        thread = threading.Thread(target=log.info, args=("in a thread",))
        thread.start()
        thread.join()
        if task.attempt == 1:
            raise ValueError("once more")
        return task.id

    @app.action("shop:async")
    async def awaited(task: duly.Task) -> str:
        await asyncio.gather(*[asyncio.to_thread(log.info, "awaited") for _ in range(2)])
        bare.info("own words", extra={"task_id": "mine", "action": "own"})
        return task.id

    @app.action("shop:shared", isolation="shared")
    async def shared(task: duly.Task, number: int) -> None:
        for step in range(3):
            log.info("shared %d", number)
            await asyncio.sleep(0.01)
            await asyncio.to_thread(log.info, "shared %d", number)

    @app.action("shop:brief")
    def brief(number: int) -> None:
        log.info("number %d", number)

    @app.action("shop:fail", max_attempts=1)
    def fail(number: int) -> None:
        log.info("number %d", number)
        raise ValueError(number)
"""


def lines(said: str) -> set[str]:
    """What was logged, less the label that tells where a line came from."""
    return {re.sub(r"^\[[^]]*\] ", "", line) for line in said.splitlines()}


def test_records_name_task_action_and_attempt_in_threads_too_and_nothing_outside(project: Any) -> None:
    project.write("shop.py", SHOP)
    project.write(
        "main.py",
        """
        import os, sys
        os.dup2(1, 2)  # what is said on stderr is looked at, too
        import shop
        shop.log.info("submitting")
        with shop.app.worker(1):
            print("ids", shop.plain.submit().result(timeout=30), shop.awaited.submit().result(timeout=30), flush=True)
        """,
    )
    said = project.run("main.py")
    plain, awaited = re.findall(r"ids (\S+) (\S+)", said)[0]
    assert lines(said) >= {
        "imported by - - in 0",
        "submitting by - - in 0",
        *(
            f"{what} by shop:plain {plain} in {attempt}"
            for what in ("plain", "bare", "in a thread")
            for attempt in (1, 2)
        ),
        f"awaited by shop:async {awaited} in 1",
        "own words by own mine in 1",
    }
    assert "Logging error" not in said


def test_coroutines_side_by_side_in_one_process_log_each_as_itself(project: Any) -> None:
    project.write("shop.py", SHOP)
    project.write(
        "main.py",
        """
        import os
        os.dup2(1, 2)
        import shop
        with shop.app.worker(1):
            handles = shop.app.submit_many(shop.shared.passport(number) for number in range(20))
            for number, handle in enumerate(handles):
                assert handle.wait(30).ok
                print("id", handle.id, number, flush=True)
        """,
    )
    said = project.run("main.py")
    numbers = dict(re.findall(r"^id (\S+) (\d+)", said, re.MULTILINE))
    logged = re.findall(r"^\[shop:shared (\S+)\] shared (\d+) by shop:shared (\S+) in 1", said, re.MULTILINE)
    assert len(logged) == 20 * 6
    assert all((numbers[label], numbers[named]) == (number, number) for label, number, named in logged)


def test_what_brief_tasks_print_by_logging_is_each_ones_own(project: Any) -> None:
    """Streams that an import has found, and many tasks a millisecond: half the lines were another's."""
    project.write("shop.py", SHOP)
    project.write(
        "main.py",
        """
        import json, os
        os.dup2(1, 2)
        import shop
        with shop.app.worker(1):
            for action in (shop.brief, shop.fail):
                handles = shop.app.submit_many(action.passport(number) for number in range(200))
                for handle in handles:
                    handle.wait(30)
                kept = [[event.data for event in shop.app.look(handle.id)[1]] for handle in handles]
                print(json.dumps([[handle.id for handle in handles], kept]), flush=True)
        """,
    )
    said = project.run("main.py")
    told = [json.loads(line) for line in said.splitlines() if line.startswith("[[")]
    label = re.compile(r"^\[shop:(?:brief|fail) (\S+)\] number (\d+) by", re.MULTILINE)
    assert label.findall(said) == [(task, str(number)) for ids, _ in told for number, task in enumerate(ids)]
    assert all(f"number {number} by" in json.dumps(events) for number, events in enumerate(told[1][1]))
