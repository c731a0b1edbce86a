import os
from pathlib import Path

import pytest

from duly.errors import StoreUnavailable
from duly.store.sqlite import filesystem
from duly.store.sqlite.filesystem import is_shared, mount_at
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
    assert mount_at(path, MOUNTS)[1] == kind


def test_without_mounts_nothing_is_known() -> None:
    assert mount_at("/duly.db", "") == ("", "")


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "glusterfs", "gfs2", "ocfs2", "vboxsf", "fakeowner"),
        *("fuse", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.grpcfuse", "fuse.whatever"),
        *("9p", "virtiofs"),
    ],
)
def test_what_other_machines_may_write_is_refused(kind: str) -> None:
    assert is_shared("/data", kind)


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        *[
            ("/data", kind)
            for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs")
        ],
        ("/", "virtiofs"),
        ("/", "9p"),
        ("", ""),
    ],
)
def test_what_one_kernel_writes_is_not(point: str, kind: str) -> None:
    assert not is_shared(point, kind)


@pytest.mark.parametrize("kind", ["nfs4", "9p", "fuse.sshfs"])
def test_a_store_in_a_shared_folder_is_refused_with_its_kind(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "MOUNTS", str(tmp_path / "mounts"))
    folder = os.path.realpath(tmp_path)
    mounts = f"22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 0:50 / {folder} rw - {kind} it rw\n"
    (tmp_path / "mounts").write_text(mounts)
    with pytest.raises(StoreUnavailable, match=f"lies on {kind}, a file system of a network or shared"):
        SqliteStore(str(tmp_path / "new.db")).open()
    assert not (tmp_path / "new.db").exists()
