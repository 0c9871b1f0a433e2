"""Directories of running jobs: made for one client, gone with it, also when it was killed."""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from orchestrator.home import Home


class Scratch:
    """One client's directory under `MM_HOME/jobs`, locked while the client lives.

    The kernel gives the lock back when a process dies, so that whoever comes next knows which
    directories nobody uses any more, and removes them.
    """

    def __init__(self, home: Home) -> None:
        home.prepare()
        self._owner = os.getpid()
        self._root = home.jobs
        try:
            self._root.mkdir(exist_ok=True)
            # One at a time, so that nobody sweeps what another has made and not locked yet.
            turn = _open_lock(self._root)
            try:
                fcntl.flock(turn, fcntl.LOCK_EX)
                self._sweep()
                self.path = self._root / secrets.token_hex(6)
                self.path.mkdir(mode=0o700)
                self._prefix = f"{self.path}/"
                self._jobs = itertools.count(1)
                self._lock = _open_lock(self.path)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            finally:
                os.close(turn)
        except OSError as error:
            raise EnvironmentFailure(
                f"cannot be written ({error.strerror})",
                where=str(self._root),
                fix="set MM_HOME to a directory of yours",
            ) from error

    def new_job(self) -> Path:
        """Make and return an empty directory for one job."""
        path = Path(self.reserve())
        path.mkdir(mode=0o700)
        return path

    def reserve(self) -> str:
        """Return the path of a directory for one job, which whoever needs it makes."""
        return f"{self._prefix}{next(self._jobs)}"

    def discard(self, job: str) -> None:
        """Remove a job's directory, if it was made."""
        if os.path.isdir(job):  # noqa: PTH112 - on the way of every call; pathlib is slow
            shutil.rmtree(job, ignore_errors=True)

    def close(self) -> None:
        """Remove everything, once; a process that we forked removes nothing."""
        lock, self._lock = self._lock, -1
        if lock >= 0 and os.getpid() == self._owner:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(lock)

    def _sweep(self) -> None:
        for other in self._root.iterdir():
            if not other.is_dir():
                continue
            lock = _open_lock(other)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other, ignore_errors=True)
            except BlockingIOError:
                continue  # in use
            finally:
                os.close(lock)


def _open_lock(directory: Path) -> int:
    return os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
