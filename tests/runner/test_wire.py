import mmap

import msgspec
import pytest

from duly.wire import runner as wire


@pytest.fixture
def mark():
    page = mmap.mmap(-1, wire.Mark.SIZE)
    mark = wire.Mark(memoryview(page))
    yield mark
    mark.close()
    page.close()


def test_a_mark_tells_what_runs_and_since_when(mark):
    assert mark.running() is None

    mark.begin(5, 2, 1_000)
    assert mark.running() == (5, 2, 1_000)

    mark.end()
    assert mark.running() is None


def test_the_memory_at_the_start_is_not_that_of_the_task_before(mark):
    mark.begin(5, 2, 1_000)
    assert mark.base() is None
    mark.set_base(4096)
    assert mark.base() == 4096

    mark.begin(6, 1, 2_000)

    assert mark.base() is None


def test_only_the_claim_that_is_meant_is_asked(mark):
    mark.ask(5, 2, "timeout")

    assert mark.asked(5, 2) == "timeout"
    assert mark.asked(5, 3) == mark.asked(6, 2) == ""


@pytest.mark.parametrize(
    ("decode", "messages"),
    [
        (wire.decode_to_zygote, [wire.Setup(targets=[wire.Target(module="m", main=True)]), wire.Spawn(3)]),
        (
            wire.decode_from_zygote,
            [wire.Ready(unshared=["m"]), wire.Spawned(3, 77), wire.NotSpawned(3, "no"), wire.Gone(3, 9, None, 2)],
        ),
        (wire.decode_to_runner, [wire.Work(1, 2, 0, "id", 3, '{"a":1}', 1.5, 2**40), wire.Stop(1, 2, "cancel")]),
        (
            wire.decode_from_runner,
            [wire.Done(1, 2, 99, "success", "null"), wire.Said(1, 2, "info", "{}", "name"), wire.Fit()],
        ),
    ],
)
def test_a_message_is_read_as_it_was_written(decode, messages):
    assert [decode(wire.encode(message)) for message in messages] == messages


@pytest.mark.parametrize("data", [b"", b"\x93garbage", b"\xc1", b"\x80", wire.encode(["what", 1])])
@pytest.mark.parametrize(
    "decode", [wire.decode_to_zygote, wire.decode_from_zygote, wire.decode_to_runner, wire.decode_from_runner]
)
def test_what_is_no_message_is_refused(decode, data):
    with pytest.raises(msgspec.DecodeError):
        decode(data)
