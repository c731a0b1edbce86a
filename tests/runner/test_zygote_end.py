import select
import tempfile

from duly.runner.pool import Pool
from duly.wire.runner import Setup


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
