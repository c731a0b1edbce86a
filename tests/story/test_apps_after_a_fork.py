"""An App that was used before a fork goes on in the parent, and begins anew in the child."""

from __future__ import annotations

from typing import Any

SHOP = """
    import os, sys, threading
    import duly

    app = duly.App("sqlite:///tasks.db")

    @app.action("shop:add")
    def add(number: int) -> int:
        return number + 1

    def forked(what):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                what()
                code = 0
            finally:
                os._exit(code)
        return pid

    def wait_for(*pids):
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0, "a child failed"
"""


def run(project: Any, program: str) -> str:
    project.write("shop.py", SHOP)
    project.write("main.py", program)
    out: str = project.run("main.py")
    return out


def test_what_a_child_submits_outlives_the_app_of_its_parent(project: Any) -> None:
    """Its store must be its own: the parent is the last one to close its, and takes the log away."""
    run(
        project,
        """
        from shop import *
        add.submit(0)
        opened, closed = os.pipe(), os.pipe()

        def child():
            add.submit(1)
            os.write(opened[1], b"!")
            os.read(closed[0], 1)
            for number in range(10):
                add.submit(number)

        pid = forked(child)
        os.read(opened[0], 1)
        app.close()
        os.write(closed[1], b"!")
        wait_for(pid)
        """,
    )
    assert len(project.tasks()) == 12


def test_a_fork_finds_no_thread_inside_the_store(project: Any) -> None:
    """Or locks of theirs would stay locked in the child for ever: one in four forks was stuck."""
    out = run(
        project,
        """
        from shop import *
        over, submitted = threading.Event(), []

        def submit():
            while not over.is_set():
                submitted.append(add.submit(1).id)

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            wait_for(forked(lambda: [add.submit(2) for _ in range(3)]))
        over.set()
        for thread in threads:
            thread.join()
        print(len(submitted))
        """,
    )
    assert len(project.tasks()) == int(out) + 40 * 3


def test_many_children_of_a_server_submit_at_once(project: Any) -> None:
    """As with gunicorn, which may import the application before it forks."""
    run(
        project,
        """
        from shop import *
        app.submit_many(add.passport(number) for number in range(100))
        wait_for(*[forked(lambda: [add.submit(number) for number in range(50)]) for _ in range(8)])
        add.submit(0)
        """,
    )
    assert len(project.tasks()) == 100 + 8 * 50 + 1


def test_a_pool_of_multiprocessing_may_submit_and_wait(project: Any) -> None:
    out = run(
        project,
        """
        import multiprocessing
        from shop import *

        def ask(number):
            return add.submit(number).result(timeout=30)

        if __name__ == "__main__":
            with app.worker(1), multiprocessing.get_context("fork").Pool(3) as pool:
                print(sorted(pool.map(ask, range(9))), add.submit(1).result(timeout=30))
        """,
    )
    assert out == f"{list(range(1, 10))} 2\n"


def test_a_worker_goes_on_while_its_process_forks(project: Any) -> None:
    """Its place among the living nodes is not given up for a moment, so nobody takes its tasks away."""
    out = run(
        project,
        """
        from shop import *

        def child():
            assert add.submit(5).result(timeout=30) == 6
            assert [lives for _, lives in app.nodes()] == [True]

        with app.worker(1):
            for _ in range(10):
                wait_for(forked(child))
                handle = add.submit(6)
                assert handle.result(timeout=30) == 7
                assert handle.wait().statistics.attempts == 1
            print(len(app.nodes()))
        """,
    )
    assert out == "1\n"


def test_a_worker_works_in_a_forked_child(project: Any) -> None:
    out = run(
        project,
        """
        from shop import *

        def child():
            with app.worker(1):
                print(add.submit(5).result(timeout=30), flush=True)

        add.submit(1)
        wait_for(forked(child))
        with app.worker(1):
            print(add.submit(7).result(timeout=30))
        """,
    )
    assert out == "6\n8\n"


def test_a_store_in_memory_stays_with_the_parent(project: Any) -> None:
    out = run(
        project,
        """
        from shop import *
        app = duly.App("sqlite:///:memory:")
        app.submit("shop:add", 1)

        def child():
            app.submit("shop:add", 2)
            print(len(list(app.tasks())), flush=True)

        wait_for(forked(child))
        print(len(list(app.tasks())))
        """,
    )
    assert out == "1\n1\n"


def test_a_child_whose_parent_did_not_let_go_is_refused_rather_than_loses_tasks(project: Any) -> None:
    out = run(
        project,
        """
        from shop import *
        from duly.engine import storethread
        storethread.FORK_SECONDS = 0.1
        inside, over = threading.Event(), threading.Event()

        def busy(store):
            inside.set()
            over.wait()

        def child():
            try:
                add.submit(1)
            except duly.StoreUnavailable as error:
                print(error, flush=True)

        add.submit(0)
        app._thread.post(busy, lambda *_: None)
        inside.wait()
        wait_for(forked(child))
        over.set()
        add.submit(2)
        wait_for(forked(lambda: add.submit(3)))
        """,
    )
    assert "forked while its parent was busy with the store" in out
    assert len(project.tasks()) == 3
