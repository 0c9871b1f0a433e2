"""Directories of running jobs: made for one client, gone with it, also when it was killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.system.home import make_private, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.system.home import Home


class Scratch:
    """One client's directory under `MM_HOME/jobs`, locked while the client lives.

    The kernel gives the lock back when a process dies, so that the next client knows which
    directories are no longer in use, and removes them.
    """

    def __init__(self, home: Home) -> None:
        home.prepare()
        self._owner = os.getpid()
        self._jobs = itertools.count(1)
        try:
            make_private(home.jobs)
            sweep(home.jobs.iterdir())
            self.path, self._lock = _claim(home.jobs)
        except OSError as error:
            raise unwritable(error, error.filename or home.jobs) from error
        self._prefix = f"{self.path}/"

    def new_job(self) -> Path:
        """Make and return an empty directory for one job."""
        path = Path(self.reserve())
        path.mkdir(mode=0o700)
        return path

    def reserve(self) -> str:
        """Return the path of a directory for one job, which its user makes when needed."""
        return f"{self._prefix}{next(self._jobs)}"

    def discard(self, job: str) -> None:
        """Remove a job's directory, if it was made."""
        if os.path.isdir(job):  # noqa: PTH112 - on the way of every call; pathlib is slow
            shutil.rmtree(job, ignore_errors=True)

    def close(self) -> None:
        """Remove everything, once; a process that we forked removes nothing."""
        if self._lock >= 0 and os.getpid() == self._owner:
            shutil.rmtree(self.path, ignore_errors=True)
            lock, self._lock = self._lock, -1  # not before: an interrupt may break it off
            os.close(lock)


def sweep(directories: Iterable[Path]) -> None:
    """Remove the directories whose clients are gone, but for what cannot be removed.

    Others may remove them meanwhile, and some may belong to another user (after `sudo mm run`):
    neither concerns the command that sweeps.
    """
    for directory in directories:
        with contextlib.suppress(OSError):
            lock = own(directory)
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def own(directory: Path) -> int:
    """Lock a client's directory and return the lock's descriptor.

    Raises:
        BlockingIOError: When its client lives.
        FileNotFoundError: When it has been removed meanwhile.
        OSError: When its lock cannot be opened.
    """
    lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = not os.fstat(lock).st_nlink
    except OSError:
        os.close(lock)
        raise
    if removed:
        os.close(lock)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))
    return lock


def _claim(root: Path) -> tuple[Path, int]:
    """Make a directory in `root`; return it and the descriptor of its lock."""
    while True:
        path = root / secrets.token_hex(6)
        path.mkdir(mode=0o700)
        # Another client may sweep it before it is locked: then the next one is tried.
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            return path, own(path)
