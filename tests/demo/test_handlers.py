from pathlib import Path

import pytest

from duly.core.outcome import Failure
from duly.demo.handlers import LONGEST, read_source

SOURCE = '''"""A module."""

class Shop:
    def sell(self, thing):
        if thing:
            for one in thing:
                yield one

    async def close(self):
        def inner():
            return 1 if self else 2
        return inner

def lonely(): ...
'''


def read(folder: Path, source: bytes) -> object:
    path = folder / "source.py"
    path.write_bytes(source)
    return read_source(str(path))


def test_a_file_is_measured(tmp_path: Path) -> None:
    assert read(tmp_path, SOURCE.encode()) == {
        "lines": 14,
        "functions": 4,
        "classes": 1,
        "branches": 2,
        "longest": [(4, 9, "Shop.close"), (4, 4, "Shop.sell"), (2, 10, "Shop.close.inner"), (1, 14, "lonely")],
    }


def test_only_so_many_functions_of_a_file_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, b"".join(b"def f%d(): ...\n" % number for number in range(30)))
    assert isinstance(found, dict)
    assert (found["functions"], len(found["longest"])) == (30, LONGEST)


def test_a_file_that_warns_when_it_is_parsed_is_read_in_silence(tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, rb'pattern = "\d"'), dict)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"def f(:\n", "does not parse at line 1: "),
        (b"\xff = 1\n", "does not parse"),
        (b"# coding: nosuch\n", "does not parse: unknown encoding: nosuch"),
        (b"x = 1\0\n", "does not parse"),
        (b"(" * 5000 + b")" * 5000, "does not parse"),
    ],
)
def test_a_file_that_does_not_parse_is_a_no_that_stays_one(tmp_path: Path, source: bytes, why: str) -> None:
    answer = read(tmp_path, source)
    assert isinstance(answer, Failure)
    assert answer.value.startswith(why)
    assert answer.retry is False


def test_a_file_that_is_gone_is_a_no_that_stays_one(tmp_path: Path) -> None:
    assert read_source(str(tmp_path / "gone.py")) == Failure("cannot be read: No such file or directory", retry=False)
