"""`MM_RUNTIME_DIR`: sockets and the records of live workers. Private to the user, or refused."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.home import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOCKET_PATH_LIMIT = 103
"""Bytes of a socket's path: macOS has room for 104 with the closing zero, Linux for 108."""

SOCKET_NAME_LENGTH = len("/0123456789ab.sock")


@dataclass(frozen=True)
class WorkerRecord:
    """What is known of one worker, in `<id>.json` beside its socket."""

    id: str
    model: str
    supervisor: int
    """The process id of its supervisor."""
    started: str
    """When that process began, as the system says it; a reused id has another."""
    environment: str
    """The digest of its environment."""
    socket: str
    log: str


@dataclass(frozen=True)
class RuntimeDirectory:
    """The directory of sockets and records."""

    path: Path

    def new_id(self) -> str:
        """Return a name that no other worker has."""
        return secrets.token_hex(6)

    def socket(self, worker: str) -> Path:
        """Return the path of a worker's socket."""
        return self.path / f"{worker}.sock"

    def record(self, worker: str) -> Path:
        """Return the path of a worker's record."""
        return self.path / f"{worker}.json"

    def end(self, worker: str) -> Path:
        """Return the path where its supervisor writes how it ended."""
        return self.path / f"{worker}.end"

    def write(self, record: WorkerRecord) -> None:
        """Keep the record of a live worker."""
        write_json(self.record(record.id), asdict(record), mode=0o600)

    def records(self) -> Iterator[WorkerRecord]:
        """Yield the records; one that is damaged counts as absent."""
        for path in sorted(self.path.glob("*.json")):
            found = read_json(path)
            try:
                record = WorkerRecord(**found)
            except TypeError:
                continue
            yield record

    def forget(self, worker: str) -> None:
        """Remove all files of a worker that has ended."""
        for path in (self.socket(worker), self.record(worker), self.end(worker)):
            path.unlink(missing_ok=True)


def runtime_directory(variables: Mapping[str, str]) -> RuntimeDirectory:
    """Return the directory that the variables name, made if need be, and checked.

    Raises:
        UsageError: When it is not a directory of this user's alone, or its path is too long.
    """
    path = _choose(variables)
    room = SOCKET_PATH_LIMIT - SOCKET_NAME_LENGTH
    if len(os.fsencode(path)) > room:
        raise UsageError(
            f"the path is longer than the {room} bytes that a socket's name leaves",
            where=str(path),
            fix="set MM_RUNTIME_DIR to a shorter one",
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise UsageError(
            f"cannot be made ({error.strerror})",
            where=str(path),
            fix="set MM_RUNTIME_DIR to a directory of yours",
        ) from error
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            "the directory for sockets must belong to you and be closed to others",
            where=str(path),
            fix=f"run: chmod 700 {path}" if ours else "set MM_RUNTIME_DIR to another one",
        )
    return RuntimeDirectory(path)


def _choose(variables: Mapping[str, str]) -> Path:
    if chosen := variables.get("MM_RUNTIME_DIR"):
        return Path(chosen).expanduser().absolute()
    if users := variables.get("XDG_RUNTIME_DIR"):
        directory = Path(users)
        # Left over from another login (`su`, `sudo`), it is not ours to use.
        if directory.is_dir() and directory.stat().st_uid == os.getuid():
            return directory / "mm"
    return Path(tempfile.gettempdir()) / f"mm-{os.getuid()}"
