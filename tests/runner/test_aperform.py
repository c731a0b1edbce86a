import asyncio
import inspect
import time

import pytest

import duly
from tests.helpers import alive, eventually
from tests.runner import targets


def written(path):
    return path.exists() and path.read_text().split()


async def until(condition):
    """Wait for what another process does, and let the loop go on meanwhile."""
    return await asyncio.to_thread(eventually, condition)


def test_it_takes_what_perform_takes():
    assert inspect.signature(duly.aperform).parameters == inspect.signature(duly.perform).parameters


def test_it_answers_as_perform_does():
    assert asyncio.run(duly.aperform(targets.async_echo, {"a": 1})) == (True, {"a": 1})


def test_it_raises_as_perform_does():
    with pytest.raises(duly.TaskFailed, match="ValueError: mine"):
        asyncio.run(duly.aperform(targets.raise_value_error, "mine"))
    with pytest.raises(duly.TaskTimedOut):
        asyncio.run(duly.aperform(targets.spin, timeout=0.2, grace=0))
    with pytest.raises(duly.TargetNotFound):
        asyncio.run(duly.aperform("no.such.module"))


def test_the_loop_goes_on_meanwhile_and_many_may_perform_at_once():
    async def main():
        return await asyncio.gather(*(duly.aperform(targets.echo, number) for number in range(6)))

    assert [performed.value for performed in asyncio.run(main())] == list(range(6))


def test_a_cancel_stops_the_process_before_it_goes_on(tmp_path):
    path = tmp_path / "pid"

    async def main():
        performing = asyncio.create_task(duly.aperform(targets.sleep, str(path), grace=30))
        pid = int((await until(lambda: written(path)))[0])
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing
        return pid

    assert not alive(asyncio.run(main()))


def test_a_cancel_gives_the_code_its_grace_and_a_second_one_does_not(tmp_path):
    path = tmp_path / "pid"

    async def main():
        performing = asyncio.create_task(duly.aperform(targets.sleep_on, str(path), grace=60))
        await until(lambda: written(path))
        performing.cancel()
        pid, _ = await until(lambda: len(written(path)) == 2 and written(path))
        assert not performing.done()
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing
        return int(pid)

    started = time.monotonic()
    assert not alive(asyncio.run(main()))
    assert time.monotonic() - started < 20


def test_a_cancel_before_the_process_has_begun_leaves_nothing_behind(tmp_path):
    path = tmp_path / "pid"

    async def main():
        performing = asyncio.create_task(duly.aperform(targets.sleep, str(path), grace=0))
        await asyncio.sleep(0)
        performing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await performing

    asyncio.run(main())
    assert not any(alive(int(pid)) for pid in written(path) or [])


def test_a_timeout_around_it_is_a_cancel(tmp_path):
    path = tmp_path / "pid"

    async def main():
        async with asyncio.timeout(1.0):
            await duly.aperform(targets.sleep, str(path))

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert not alive(int(written(path)[0]))


def test_a_coroutine_that_is_closed_stops_the_process(tmp_path):
    path = tmp_path / "pid"

    async def main():
        performing = duly.aperform(targets.sleep, str(path))
        performing.send(None)
        pid = int((await until(lambda: written(path)))[0])
        performing.close()
        await until(lambda: not alive(pid))

    asyncio.run(main())
