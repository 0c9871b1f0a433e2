"""Copies of files of any size: the kernel shares or copies their bytes; none is read here."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.system.home import replacing

FICLONE = 0x40049409
"""Linux: share another file's blocks until either changes (`man ioctl_ficlone`)."""

Way = Callable[[Path, Path], None]
"""Makes the second file, which is there and empty, hold what the first does, or raises OSError."""


def clone(source: Path, target: Path) -> None:
    """Share the blocks, on the file systems of Linux that can: btrfs, XFS, bcachefs, overlays."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        fcntl.ioctl(writer, FICLONE, reader.fileno())


def clone_apfs(source: Path, target: Path) -> None:
    """Share the blocks, on macOS."""
    import ctypes

    def call(old: Path, new: Path) -> None:
        function = getattr(ctypes.CDLL(None, use_errno=True), "clonefile", None)
        if function is None or function(os.fsencode(old), os.fsencode(new), 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    _put(call, source, target)


def hard_link(source: Path, target: Path) -> None:
    """Be the same file: for a source that no one else has, and that is about to go."""
    old, new = source.lstat(), target.stat()
    alone = stat.S_ISREG(old.st_mode) and old.st_nlink == 1
    if not alone or (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        raise OSError  # another would see what is written to it, or the directory decides its group
    _put(os.link, source, target)


def _put(act: Callable[[Path, Path], None], source: Path, target: Path) -> None:
    """Let `act`, which makes a file, replace `target`, whose permissions it gets."""
    spare = target.with_name(f"{target.name}.new")
    act(source, spare)
    try:
        spare.chmod(stat.S_IMODE(target.stat().st_mode))
        spare.replace(target)
    except BaseException:
        with suppress(OSError):
            spare.unlink()
        raise


CLONES: tuple[Way, ...] = (clone, clone_apfs)


def copy_file(
    source: Path,
    target: Path,
    *,
    mode: int | None = None,
    ours: bool = False,
    clones: Sequence[Way] = CLONES,
) -> None:
    """Copy a file to `target`, which has it whole or not at all.

    Args:
        source: The file.
        target: Where to; what is there is replaced.
        mode: Its permissions; None for those that the umask leaves to a new file of the user's.
        ours: Whether the source is removed soon and changes no more, so that a link will do.
        clones: How blocks can be shared; where none can, they are copied.

    Raises:
        OSError: When it cannot be read or written.
    """
    with replacing(target, mode=mode) as temporary:
        for way in (hard_link, *clones) if ours else clones:
            with suppress(OSError):
                way(source, temporary)
                return
        shutil.copyfile(source, temporary)
