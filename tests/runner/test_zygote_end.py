import select
import subprocess
import sys
import tempfile

from duly.runner import launch
from duly.runner.channel import pair
from duly.runner.pool import Pool
from duly.wire.runner import Setup


def test_a_zygote_whose_caller_is_gone_before_the_first_word_ends_without_a_word() -> None:
    ours, theirs = pair()
    ours.close()
    ended = subprocess.run(
        [sys.executable, "-S", "-c", launch.BOOT, str(theirs.fileno())],
        pass_fds=[theirs.fileno()], capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    theirs.close()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_a_zygote_ends_in_order_though_its_supervisor_left_messages_unread() -> None:
    pool = Pool("test-zygote-end")
    with tempfile.TemporaryFile() as stderr:
        pool.start(Setup(targets=[]), stderr=stderr.fileno())
        process, control = pool._process, pool._control
        assert process is not None
        assert control is not None
        assert select.select([control], [], [], 10)[0]  # it has said that it is ready, and nobody reads that

        pool.close()

        assert process.returncode == 0
        stderr.seek(0)
        assert stderr.read() == b""
