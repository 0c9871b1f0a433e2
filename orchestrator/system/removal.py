"""Removal of what is no longer needed, while other processes may do the same."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def modified(path: Path) -> float:
    """Return when a file was changed last, in seconds since the epoch; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def file_size(path: Path) -> int:
    """Return a file's size in bytes; 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it, if it is there.

    Raises:
        OSError: When something in it cannot be removed.
    """
    while os.path.lexists(path):
        with contextlib.suppress(FileNotFoundError):  # another was quicker with a part of it
            if path.is_dir() and not path.is_symlink():
                from shutil import rmtree  # its imports cost every command

                rmtree(path)
            else:
                path.unlink()


def remove_oldest(paths: Iterable[Path], kept: int) -> None:
    """Remove all files but the `kept` latest, and but those that cannot be removed."""
    for path in sorted(paths, key=modified, reverse=True)[kept:]:
        with contextlib.suppress(OSError):
            path.unlink()
