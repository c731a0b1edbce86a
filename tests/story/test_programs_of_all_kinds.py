"""Where handlers may live: the program's own file, modules, factories; and what is said where they cannot be found."""

from __future__ import annotations

from typing import Any

import pytest

PROGRAM = """
    {imports}
    import duly

    app = duly.App("sqlite:///tasks.db")

    @app.action("shop:add")
    def add(number: int) -> int:
        return number + 1

    if __name__ == "__main__":
        with app.worker(1):
            print(add.submit(1).result(timeout=30))
"""

FACTORY = """
    import duly

    def create_app():
        app = duly.App("sqlite:///tasks.db")
        app.action("shop:add")(add)
        return app

    def add(number: int) -> int:
        return number + 1
"""

WORK = """
    import {module}
    app = {module}.create_app()
    with app.worker(1):
        print(app.submit("shop:add", 1).result(timeout=30))
"""


@pytest.mark.parametrize("imports", ["", "import multiprocessing", "import concurrent.futures.process, asyncio"])
def test_a_program_may_be_one_file(project: Any, imports: str) -> None:
    """Also one that imports multiprocessing, which has its own mind about what `__main__` is."""
    project.write("program.py", PROGRAM.format(imports=imports))
    assert project.run("program.py") == "2\n"


@pytest.mark.parametrize("name", ["package.program", "package"])
def test_a_program_may_be_a_module_of_a_package(project: Any, name: str) -> None:
    project.write("package/__init__.py", "")
    project.write("package/near.py", "NEAR = 1")
    for file in ("program.py", "__main__.py"):
        project.write(f"package/{file}", PROGRAM.format(imports="from .near import NEAR"))
    assert project.run("-m", name) == "2\n"


def test_a_folder_may_be_a_program(project: Any) -> None:
    project.write("folder/__main__.py", PROGRAM.format(imports="import beside"))
    project.write("folder/beside.py", "")
    assert project.run("folder") == "2\n"


@pytest.mark.parametrize("how", ["-c", "-"])
def test_a_handler_of_a_prompt_or_notebook_is_refused_at_once_with_the_cure(project: Any, how: str) -> None:
    program = "import duly\n@duly.App().action('shop:add')\ndef add(number: int) -> int: ..."
    said = project.run(how, *([program] if how == "-c" else []), stdin=program, code=1)
    assert "add was defined at a prompt or in a notebook" in said
    assert "put it into a module" in said


def test_a_notebook_may_import_its_handlers_and_work(project: Any) -> None:
    project.write("shop.py", PROGRAM.format(imports=""))
    cells = """
        import shop
        with shop.app.worker(1):
            print(shop.add.submit(1).result(timeout=30))
    """
    assert project.run("-", stdin=cells) == "2\n"


def test_an_app_may_be_made_by_a_function(project: Any) -> None:
    project.write("factory.py", FACTORY)
    project.write("main.py", WORK.format(module="factory"))
    assert project.run("main.py") == "2\n"


def test_a_handler_inside_the_function_that_makes_the_app_is_refused_with_the_cure(project: Any) -> None:
    project.write(
        "inside.py",
        """
        import duly

        def create_app():
            app = duly.App("sqlite:///tasks.db")

            @app.action("shop:add")
            def add(number: int) -> int:
                return number + 1

            return app
        """,
    )
    project.write("main.py", WORK.format(module="inside"))
    said = project.run("main.py", code=1)
    assert "inside.create_app.<locals>.add exists only here" in said
    assert "`app.action(...)(function)`" in said


def test_a_handler_that_importing_its_module_does_not_make_is_found_out_by_the_worker(project: Any) -> None:
    project.write(
        "late.py",
        """
        import duly

        def create_app():
            global add
            app = duly.App("sqlite:///tasks.db")

            @app.action("shop:add")
            def add(number: int) -> int:
                return number + 1

            return app
        """,
    )
    project.write("main.py", WORK.format(module="late"))
    said = project.run("main.py", code=1)
    assert "late.py has no attribute 'add' when it is imported" in said
    assert "must stand at the top of its module" in said


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True, name='gauge').start()",
         "importing shop starts threads (gauge):"),
        ("import socket; kept = socket.socket()", "importing shop opens sockets:"),
        ("import asyncio; loop = asyncio.new_event_loop()", "importing shop opens sockets:"),
        ("import select; kept = select.epoll()", "importing shop opens sockets:"),
    ],
)  # fmt: skip
def test_what_no_fork_may_inherit_is_made_by_each_runner_for_itself(project: Any, does: str, told: str) -> None:
    project.write(
        "shop.py",
        f"""
        {does}
        import os
        import duly

        app = duly.App("sqlite:///tasks.db")
        made_by = os.getpid()

        @app.action("shop:tell")
        def tell() -> bool:
            return made_by == os.getpid()
        """,
    )
    project.write("other.py", "def tell(): return None")
    project.write(
        "main.py",
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        import other, shop
        shop.app.action("other:tell")(other.tell)
        with shop.app.worker(1):
            print({shop.tell.submit().result(timeout=30) for _ in range(3)})
        """,
    )
    out = project.run("main.py")
    assert told in out
    assert "other" not in out
    assert out.endswith("{True}\n")
