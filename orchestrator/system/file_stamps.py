"""Whether files are still as they were when something was derived from them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INTERVAL = 0.02
"""Seconds between two looks at what is looked at now and then."""


class FileStamps:
    """Inode, size and time of files and directories, and which paths were not there.

    A look costs a system call for each path, and every warm job pays for it.

    Args:
        clock: Returns the time in seconds; a port for tests, like the next.
        interval: Stands for `INTERVAL`.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, interval: float = INTERVAL
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._present: dict[str, tuple[int, int, int]] = {}
        self._absent: list[str] = []
        self._settled = True
        self._others: FileStamps | None = None
        self._next = 0.0

    def add(self, paths: Iterable[Path], began: int, *, now_and_then: bool = False) -> None:
        """Remember what `paths` are like now.

        Args:
            paths: What was read, or would have been.
            began: `time.time_ns()` before the first of them was read. Where one has changed since,
                no one can say which content was read, and `unchanged` says no from then on.
            now_and_then: Whether to look at them 50 times a second at most.
        """
        if now_and_then:
            self._others = FileStamps()
            known = {*self._present, *self._absent}
            self._others.add((path for path in paths if os.fspath(path) not in known), began)
            return
        for path in dict.fromkeys(map(os.fspath, paths)):
            if (status := _status(path)) is None:
                self._absent.append(path)
            else:
                self._present[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
                # A time in the future, as an archive or another clock may give it, says nothing.
                times = (status.st_mtime_ns, status.st_ctime_ns)
                self._settled &= not any(began <= each <= time.time_ns() for each in times)

    def unchanged(self) -> bool:
        """Return whether every path is as it was."""
        stat, access = os.stat, os.access
        try:
            for path, (modified, size, inode) in self._present.items():
                now = stat(path)
                if now.st_mtime_ns != modified or now.st_size != size or now.st_ino != inode:
                    return False
        except OSError:
            return False
        for path in self._absent:
            if access(path, os.F_OK):  # cheaper than an exception
                return False
        if self._others is not None and (time_ := self._clock()) >= self._next:
            if not self._others.unchanged():
                return False
            self._next = time_ + self._interval
        return self._settled


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - pathlib is slow
    except OSError:
        return None
