from collections.abc import Callable
from pathlib import Path

import pytest

from duly.errors import StoreUnavailable
from duly.store.sqlite import filesystem
from duly.store.sqlite.filesystem import kind_at
from duly.store.sqlite.store import SqliteStore

MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:50 / /data rw shared:5 master:1 - nfs4 host:/export rw
41 40 254:1 / /data/local rw - xfs /dev/vdb rw
42 22 0:51 / /my\040disk rw - cifs //host/share rw
43 22 254:2 / /twice rw - ext4 /dev/vdc rw
44 43 0:52 / /twice rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/duly.db", "ext4"),
        ("/data/duly.db", "nfs4"),
        ("/data", "nfs4"),
        ("/database/duly.db", "ext4"),
        ("/data/local/duly.db", "xfs"),
        ("/my disk/duly.db", "cifs"),
        ("/twice/duly.db", "9p"),
    ],
)
def test_the_innermost_and_latest_mount_tells(path: str, kind: str) -> None:
    assert kind_at(path, MOUNTS) == kind


def test_without_mounts_nothing_is_known() -> None:
    assert kind_at("/duly.db", "") == ""


def test_a_store_on_a_shared_file_system_is_refused_before_anything_is_made(
    open_store: Callable[..., SqliteStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = kind_at(str(tmp_path), Path("/proc/self/mountinfo").read_text(errors="replace"))
    assert here
    monkeypatch.setattr(filesystem, "SHARED", frozenset({here}))
    with pytest.raises(StoreUnavailable, match="put it on a local disk"):
        SqliteStore(str(tmp_path / "new.db")).open()
    assert not list(tmp_path.iterdir())
