"""Which file system a store lies on: on a network's, or one that several kernels write, neither locks nor logs hold.

A folder that a virtual machine has of its host (9p, virtiofs) is written by two kernels; where it is all of a machine's
disk, it is nobody else's. Of what runs as a process (fuse) nobody can tell what is behind it, but for a few. The layers
of a container (overlay) and folders that several containers of one machine share have one kernel, and are fine.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from duly.errors import StoreUnavailable

SHARED = frozenset(
    {
        *(
            "nfs",
            "nfs3",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "coda",
            "ceph",
            "lustre",
            "glusterfs",
            "gpfs",
        ),
        *("beegfs", "orangefs", "pvfs2", "gfs2", "ocfs2", "davfs", "vboxsf", "prl_fs", "vmhgfs"),
        *("fakeowner", "grpcfuse", "drvfs"),
    }
)
GUEST = frozenset({"9p", "virtiofs"})
LOCAL_FUSE = frozenset(
    f"fuse.{name}"
    for name in ("fuse-overlayfs", "unionfs", "mergerfs", "bindfs", "gocryptfs", "cryfs", "encfs", "ntfs-3g", "exfat")
)
MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_shared(path: str) -> None:
    """Raise `StoreUnavailable` if a store would lie where it could be damaged."""
    mounts = ""
    with suppress(OSError), open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
        mounts = file.read()
    point, kind = mount_at(os.path.realpath(path), mounts)
    if is_shared(point, kind):
        raise StoreUnavailable(
            f"{path}: lies on {kind}, a file system of a network or shared between machines, where locks do not hold; "
            "put it on a local disk"
        )


def is_shared(point: str, kind: str) -> bool:
    """Whether others than this machine's kernel may write what is mounted there.

    >>> is_shared("/work", "nfs4"), is_shared("/work", "fuse.sshfs"), is_shared("/", "virtiofs"), is_shared("/", "ext4")
    (True, True, False, False)
    """
    if kind == "fuse" or kind.startswith("fuse."):
        return kind not in LOCAL_FUSE
    return kind in SHARED or (kind in GUEST and point != "/")


def mount_at(path: str, mounts: str) -> tuple[str, str]:
    r"""Return where the file system of an absolute path is mounted, and its kind, by /proc/self/mountinfo's text.

    >>> mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / /net\\040work rw shared:1 - nfs4 host:/x rw"
    >>> mount_at("/net work/duly.db", mounts), mount_at("/network/duly.db", mounts)
    (('/net work', 'nfs4'), ('/', 'ext4'))
    """
    longest, kind = "", ""
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), where.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):  # of two at one place the later one covers the other
            longest, kind = point, what.split(" ")[0]
    return longest, kind
