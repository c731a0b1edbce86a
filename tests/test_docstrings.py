"""The examples in docstrings do what they show.

Besides the names of their module they may use `duly`, an `app` and its action `send`, as a reader would have them.
"""

import doctest
import importlib
import pkgutil
import runpy
from contextlib import closing

import pytest

import duly

MODULES = ["duly", *(module.name for module in pkgutil.walk_packages(duly.__path__, "duly."))]
MAIL = """
import duly

app = duly.App("sqlite:///mail.db")

@app.action("email:send")
def send(to: str, text: str) -> str:
    return f"sent {len(text)} letters to {to}"
"""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_do_what_they_show(name, tmp_path, monkeypatch):
    module = importlib.import_module(name)
    for example in doctest.DocTestFinder().find(module, name):
        if example.examples:
            place = tmp_path / example.name
            place.mkdir()
            monkeypatch.chdir(place)
            (place / "mail.py").write_text(MAIL)  # a file, so that other processes find its handler
            names = runpy.run_path(str(place / "mail.py"), run_name="mail")
            with closing(names["app"]):
                monkeypatch.syspath_prepend(place)
                example.globs.update(names)
                told: list[str] = []
                doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(example, out=told.append)
                assert not told, "".join(told)


def test_the_whole_package_is_looked_at():
    assert {"duly.app", "duly.core.lifecycle", "duly.store.sqlite.store", "duly.cli.show"} < set(MODULES)
