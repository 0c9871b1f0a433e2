"""Directories of running jobs: made for one client, gone with it, also when it was killed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.home import Home


class Scratch:
    """One client's directory under `MM_HOME/jobs`, locked while the client lives.

    The kernel gives the lock back when a process dies, so that whoever comes next knows which
    directories nobody uses any more, and removes them.
    """

    def __init__(self, home: Home) -> None:
        home.prepare()
        self._root = home.jobs
        try:
            self._root.mkdir(exist_ok=True)
            self.path = self._root / secrets.token_hex(6)
            self.path.mkdir(mode=0o700)
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EnvironmentFailure(
                f"cannot be written ({error.strerror})",
                where=str(self._root),
                fix="set MM_HOME to a directory of yours",
            ) from error
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._sweep()

    def new_job(self) -> Path:
        """Make and return an empty directory for one job."""
        path = self.path / secrets.token_hex(6)
        path.mkdir(mode=0o700)
        return path

    def discard(self, job: Path) -> None:
        """Remove a job's directory."""
        shutil.rmtree(job, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def _sweep(self) -> None:
        for other in self._root.iterdir():
            if other == self.path or not other.is_dir():
                continue
            try:
                lock = os.open(other / ".lock", os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # being made, or being removed, by somebody else
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other, ignore_errors=True)
            except BlockingIOError:
                continue  # in use
            finally:
                os.close(lock)
