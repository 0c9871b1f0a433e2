"""How much disk environments take, with files that are linked several times counted once.

uv's cache holds a link to most files of an environment, so removing one frees only what nobody
else links to. Copy-on-write clones (macOS) look like separate files and are counted in full.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

BLOCK = 512
"""Bytes of the unit of `st_blocks` (POSIX leaves it to the system; Linux and macOS use this)."""


@dataclass(frozen=True)
class Size:
    """Bytes on disk.

    Attributes:
        total: Of every file of the directory, each once.
        freed: Of those to which no link leads from elsewhere: what removing it gives back.
    """

    total: int
    freed: int


class Usage:
    """Counts files across several directories."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self.total = 0

    def add(self, directory: Path) -> Size:
        """Count the files of one directory and return their size; `total` counts each once."""
        links: dict[tuple[int, int], int] = {}
        counts: dict[tuple[int, int], tuple[int, int]] = {}
        for status in _files(directory):
            key = (status.st_dev, status.st_ino)
            links[key] = links.get(key, 0) + 1
            counts[key] = (status.st_nlink, status.st_blocks * BLOCK)
        freed = 0
        for key, (all_links, size) in counts.items():
            if links[key] >= all_links:
                freed += size
            if key not in self._seen:
                self._seen.add(key)
                self.total += size
        return Size(sum(size for _, size in counts.values()), freed)


def directory_size(directory: Path) -> Size:
    """Return the size of one directory; nothing where it does not exist."""
    return Usage().add(directory)


def freed_together(directories: Iterable[Path]) -> int:
    """Return the bytes that removing all of `directories` would give back."""
    links: dict[tuple[int, int], int] = {}
    counts: dict[tuple[int, int], tuple[int, int]] = {}
    for directory in directories:
        for status in _files(directory):
            key = (status.st_dev, status.st_ino)
            links[key] = links.get(key, 0) + 1
            counts[key] = (status.st_nlink, status.st_blocks * BLOCK)
    return sum(size for key, (all_links, size) in counts.items() if links[key] >= all_links)


def _files(directory: Path) -> Iterator[os.stat_result]:
    pending = [str(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = list(entries)
        except OSError:
            # Somebody may remove an environment while it is counted.
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            try:
                yield entry.stat(follow_symlinks=False)
            except OSError:
                continue
