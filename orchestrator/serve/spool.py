"""Bytes that are made while they are read: a file between a job and its clients.

A slow reader costs disk, and neither memory nor a worker.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BLOCK = 1 << 16
"""Bytes that are read at once."""


class Spool:
    """A file that one writes and others read from the beginning; all in one event loop.

    Args:
        path: The file.
        again: Whether it was begun before; otherwise it is not there yet.
    """

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self.path = path
        self.ended = False
        self._changed = asyncio.Event()
        self._file = path.open("ab" if again else "xb", buffering=0)
        self.size = self._file.tell()

    def __enter__(self) -> Spool:  # noqa: PYI034 - Self is typing's from Python 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def write(self, data: bytes) -> None:
        """Append to it.

        Raises:
            OSError: When the disk is full.
        """
        left = memoryview(data)
        while left:
            written = self._file.write(left)
            left = left[written:]
            self.size += written
        self._wake()

    def end(self) -> None:
        """Write no more."""
        if not self.ended:
            self.ended = True
            self._file.close()
            self._wake()

    async def begun(self) -> bool:
        """Wait for the first byte; return whether there is one before the end."""
        while not (self.size or self.ended):
            await self._changed.wait()
        return self.size > 0

    async def read(self) -> AsyncIterator[bytes]:
        """Yield everything that is written, until the end."""
        with self.path.open("rb", buffering=0) as file:
            while True:
                changed = self._changed
                if data := file.read(BLOCK):
                    yield data
                elif self.ended:
                    return
                else:
                    await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
