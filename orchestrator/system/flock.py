"""Locks between processes, shared or exclusive, on files in `MM_HOME/locks`.

`flock` and not `fcntl` locks: they belong to the open file, so a child that inherits the descriptor
keeps the lock when its parent is killed, and closing another descriptor of the same file does not
drop them. Lock files are never removed: a removed one locks no one out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFailure
from orchestrator.system.home import unwritable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PAUSE = 0.05
"""Seconds between two tries for a lock that someone else holds."""


class Held:
    """A lock that is held until `release`, the end of a `with`, or the death of all who hold it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self.path = path

    def fileno(self) -> int:
        """Return the descriptor; a child that inherits it (`pass_fds`) holds the lock as well.

        Raises:
            ValueError: When the lock was released here.
        """
        if self._descriptor < 0:
            raise ValueError("the lock was released")
        return self._descriptor

    def release(self) -> None:
        """Let go here; a child that inherited the descriptor keeps the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def unlock(self) -> None:
        """Let go here and in every child that inherited the descriptor."""
        fcntl.flock(self.fileno(), fcntl.LOCK_UN)
        self.release()

    def touch(self) -> None:
        """Note the time of this use on the lock file, unless it is another user's."""
        with contextlib.suppress(OSError):
            os.utime(self.fileno())

    def __enter__(self) -> Held:  # noqa: PYI034 - Self is typing's from Python 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def try_lock(path: Path, *, shared: bool = False) -> Held | None:
    """Take the lock `path`, or return None when someone else holds it.

    Raises:
        EnvironmentFailure: When the file cannot be made, or its file system knows no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open(path)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise _unusable(path, error) from error
    return Held(descriptor, path)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except PermissionError:
        if not path.exists():
            raise
        # Another user's, after `sudo mm run`: what can be read can be locked.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def nap() -> None:
    """Sleep until it is time for the next try."""
    time.sleep(PAUSE)


def wait_lock(
    path: Path,
    *,
    shared: bool = False,
    pause: Callable[[], None] = nap,
) -> Held:
    """Take the lock `path`, once no one else holds it.

    It tries again and again instead of blocking in the kernel, so that an interrupt of the main
    thread can end a wait in another.

    Args:
        path: The lock file.
        shared: Whether others may hold it shared at the same time.
        pause: Called between two tries; what it raises ends the wait.

    Raises:
        EnvironmentFailure: As `try_lock`.
    """
    while True:
        held = try_lock(path, shared=shared)
        if held is not None:
            return held
        pause()


def _unusable(path: Path, error: OSError) -> EnvironmentFailure:
    if error.errno in (errno.ENOLCK, errno.ENOTSUP):
        return EnvironmentFailure(
            "is on a file system without locks",
            where=str(path.parent),
            fix="set MM_HOME to a directory on a local disk",
        )
    return unwritable(error, error.filename or path.parent)
