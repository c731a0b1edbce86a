from __future__ import annotations

import os
import signal
import time

import psutil

from bench.strays import forked
from bench.usage import cpu, pss, tree


def spin() -> None:
    while True:
        pass


def test_the_tree_of_a_process_is_itself_and_all_below_it() -> None:
    with forked(signal.pause) as pid:
        assert {os.getpid(), pid} <= tree(os.getpid())
        assert tree(pid) == {pid}


def test_the_cpu_time_of_another_process_grows_while_it_works() -> None:
    with forked(spin) as pid:
        until = time.monotonic() + 30
        while (spent := cpu(pid)) < 0.02:
            assert time.monotonic() < until
        assert cpu(pid) >= spent


def test_memory_that_is_shared_counts_in_part() -> None:
    with forked(signal.pause) as pid:
        assert 0 < pss(pid) < psutil.Process(pid).memory_info().rss
