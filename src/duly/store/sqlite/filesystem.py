"""Which file system a store lies on: on a network's, or one that several kernels write, neither locks nor logs hold.

A virtual machine's view of its host's folders (9p, virtiofs) is not refused: its own processes have one kernel.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from duly.errors import StoreUnavailable

SHARED = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs"),
        *("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse"),
        *("fuse.grpcfuse", "fakeowner", "drvfs"),
    }
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_shared(path: str) -> None:
    """Raise `StoreUnavailable` if a store would lie where it could be damaged."""
    mounts = ""
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = file.read()
    kind = kind_at(os.path.realpath(path), mounts)
    if kind in SHARED:
        raise StoreUnavailable(
            f"{path}: lies on {kind}, a file system of a network or shared between machines, where locks do not hold; "
            "put it on a local disk"
        )


def kind_at(path: str, mounts: str) -> str:
    r"""Return the kind of file system that an absolute path lies on, by the text of /proc/self/mountinfo.

    >>> mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /net\\040work rw shared:1 - nfs4 host:/x rw"
    >>> kind_at("/net work/duly.db", mounts), kind_at("/network/duly.db", mounts)
    ('nfs4', 'ext4')
    """
    longest, kind = "", ""
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), where.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):  # of two at one place the later one covers the other
            longest, kind = point, what.split(" ")[0]
    return kind
