"""The worker's state, in a small file that is mapped here and read by others.

The worker changes it with plain stores and no system call; its supervisor reads it to enforce
deadlines, and clients read it to show what a worker does, even while a model holds the
interpreter's lock. Times are those of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import enum
import mmap
import os
import time

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

SIZE = 64
"""Bytes of the file: eight doubles of this machine's byte order."""

PID, JOBS, WAITING, SINCE, KEEP, DEADLINE, REQUEST, STATE = range(8)
"""What each double holds.

PID: the worker's process id. JOBS: how many jobs have ended. WAITING: requests that wait for their
turn. SINCE: when the present state began. KEEP: seconds that it stays after its last job; infinity
for ever. DEADLINE: when the supervisor ends it; infinity for never. REQUEST: the id of the request
that runs, which its client has chosen; 0 while none does, or where no double holds the id. STATE:
the number of a `WorkerState`.
"""


class WorkerState(enum.IntEnum):
    """What a worker is doing. The supervisor, clients and `mm ps` use no other list of states.

    docs/workers.md draws the transitions.
    """

    NEW = 0
    """No model is loaded."""
    LOADING = 1
    IDLE = 2
    """The model is loaded, and no job runs."""
    BUSY = 3
    """A job runs."""
    ENDING = 4
    """It takes no more requests."""

    @property
    def label(self) -> str:
        """Its name in messages and in JSON."""
        return self.name.lower()


NEW, LOADING, IDLE, BUSY, ENDING = WorkerState
"""The members by themselves: before Python 3.12 the class is slow to look one up."""

FOREVER = float("inf")


def create(path: str) -> None:
    """Make the file for a worker that is about to start."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(
            descriptor, encode([0, 0, 0, time.monotonic(), FOREVER, FOREVER, 0, WorkerState.NEW])
        )
    finally:
        os.close(descriptor)


def encode(values: list[float]) -> bytes:
    """Return the file's bytes."""
    view = memoryview(bytearray(SIZE)).cast("d")
    for index, value in enumerate(values):
        view[index] = value
    return bytes(view)


def decode(data: bytes) -> list[float]:
    """Return the eight numbers; of a damaged file, those of a worker that does nothing."""
    if len(data) != SIZE:
        return [0, 0, 0, 0, FOREVER, FOREVER, 0, WorkerState.NEW]
    return [float(value) for value in memoryview(data).cast("d")]


def attach(path: str) -> Any:
    """Return the file at `path` as a writable sequence of doubles."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return memoryview(mmap.mmap(descriptor, SIZE)).cast("d")
    finally:
        os.close(descriptor)
