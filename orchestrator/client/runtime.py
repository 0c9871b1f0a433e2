"""`MM_RUNTIME_DIR`: sockets and the records of live workers. Private to the user, or refused."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from orchestrator.client.supervisors import ForeignProcess, is_alive
from orchestrator.core.canonical import canonical_bytes
from orchestrator.core.json_text import parse_record
from orchestrator.core.refusals import remedy
from orchestrator.errors import UsageError
from orchestrator.system.files import read_file
from orchestrator.system.flock import nap
from orchestrator.system.home import home_directory
from orchestrator.system.removal import remove
from orchestrator.worker import state
from orchestrator.worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOCKET_PATH_LIMIT = 103
"""Bytes of a socket's path: macOS has room for 104 with the closing zero, Linux for 108."""

SOCKET_NAME_LENGTH = len("/0123456789ab.sock")

PATH_LIMIT = SOCKET_PATH_LIMIT - SOCKET_NAME_LENGTH
"""Bytes of the path of the directory."""

MODULES = ".modules"
"""The suffix of the directory in which a worker keeps modules of its own; as in `worker.serve`."""

SUFFIXES = (".sock", ".json", ".state", ".end", ".tmp", ".new", MODULES)

CS_DARWIN_USER_TEMP_DIR = 65537
"""Its number for confstr(3) (<unistd.h> of macOS); other systems do not know it."""

ENDS_KEPT = 3600.0
"""Seconds for which it is kept how a worker ended, for clients that still wait for it."""


class WorkerRecord(msgspec.Struct, frozen=True):
    """A live worker: what it was started from, and where its files are."""

    id: str
    model: str
    supervisor: int
    """The process id of its supervisor."""
    started: str
    """When that process began, in the system's form; a reused id has another."""
    environment: str
    """The digest of its environment."""
    socket: str
    log: str
    digest: str = ""
    """The digest of everything that it was started from."""
    device: str = "cpu"
    dtype: str = "float32"
    pool: str = ""
    """The GPU whose memory it takes; empty for the machine's own."""
    need: int = 0
    """Bytes of memory that its manifest says it needs; 0 where it does not say."""
    kept: bool = False
    """Whether other clients may use it, because it outlives the one that started it."""
    oom: tuple[str, int] = ("", 0)
    """The file that counts kills for want of memory, and its count at the start."""

    def foreign(self) -> ForeignProcess:
        """Return its supervisor, for a process that has not started it."""
        return ForeignProcess(self.supervisor, self.started)


class WorkerStatus(msgspec.Struct, frozen=True):
    """What a worker does now; see `orchestrator.worker.state`."""

    pid: int
    jobs: int
    waiting: int
    since: float
    keep: float
    """Seconds that it stays after its last job; infinity for ever, below 0 with its owner."""
    state: WorkerState
    request: int = 0
    """The id of the request that it is at; 0 for none, or where it is not known."""

    @property
    def working(self) -> bool:
        """Whether it is at a request, and may be unable to answer for long."""
        return self.state in (WorkerState.LOADING, WorkerState.BUSY)

    @property
    def idle(self) -> bool:
        """Whether it has its model and nothing to do."""
        return self.state is WorkerState.IDLE and not self.waiting


class RuntimeDirectory(msgspec.Struct, frozen=True):
    """The directory of sockets, records and states."""

    path: Path

    def new_id(self) -> str:
        """Return a name that no other worker has."""
        return secrets.token_hex(6)

    def place(self, worker: str) -> Path:
        """Return the path of a worker's files, without their suffixes."""
        return self.path / worker

    def socket(self, worker: str) -> Path:
        """Return the path of a worker's socket."""
        return self.path / f"{worker}.sock"

    def record(self, worker: str) -> Path:
        """Return the path of a worker's record."""
        return self.path / f"{worker}.json"

    def end(self, worker: str) -> Path:
        """Return the path where its supervisor writes how it ended."""
        return self.path / f"{worker}.end"

    def state_file(self, worker: str) -> Path:
        """Return the path of the file in which it shows its state."""
        return self.path / f"{worker}.state"

    def write(self, record: WorkerRecord) -> None:
        """Keep the record of a live worker."""
        temporary = self.path / f"{record.id}.tmp"
        # Not synchronised with the disk: after a crash of the machine no worker is left.
        temporary.write_bytes(canonical_bytes(asdict(record)))
        temporary.chmod(0o600)
        temporary.replace(self.record(record.id))

    def records(self) -> Iterator[WorkerRecord]:
        """Yield the records of live workers, oldest first, and remove those of dead ones.

        A record that is damaged counts as absent.
        """
        found = [record for path in self.path.glob("*.json") if (record := _read(path))]
        found.sort(key=lambda record: (record.started.rpartition(":")[2].zfill(20), record.id))
        for record in found:
            if is_alive(record.supervisor, record.started):
                yield record
            else:
                # Its supervisor was killed, else it would have tidied up itself.
                self.forget(record.id, ending=False)

    def dead(self) -> list[WorkerRecord]:
        """Return the records of workers whose supervisor is gone, and remove nothing."""
        found = [record for path in self.path.glob("*.json") if (record := _read(path))]
        return [each for each in found if not is_alive(each.supervisor, each.started)]

    def status(self, worker: str) -> WorkerStatus:
        """Return what a worker does now."""
        try:
            data = read_file(self.state_file(worker))
        except OSError:
            data = b""
        numbers = state.decode(data)
        return WorkerStatus(
            pid=int(numbers[state.PID]),
            jobs=int(numbers[state.JOBS]),
            waiting=int(numbers[state.WAITING]),
            since=numbers[state.SINCE],
            keep=numbers[state.KEEP],
            state=WorkerState(int(numbers[state.STATE])),
            request=int(numbers[state.REQUEST]),
        )

    @contextlib.contextmanager
    def starting(self, pause: Callable[[], None] = nap) -> Iterator[None]:
        """Let no one else start a worker: two that fit singly may not together.

        In its body nothing is waited for, and no other process is asked anything.

        Args:
            pause: Called between two looks while another starts one; what it raises ends the wait.

        Raises:
            UsageError: As `runtime_directory`: it is made again where something has removed it.
        """
        _make(self.path)
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _lock(lock):
                pause()
            yield
        finally:
            os.close(lock)  # as the kernel does when we die

    def forget(self, worker: str, *, ending: bool = True) -> None:
        """Remove the files of a worker that has ended.

        Args:
            worker: Its id.
            ending: Whether to remove how it ended, because no other client asks.
        """
        for suffix in (".sock", ".json", ".state", *([".end"] if ending else [])):
            with contextlib.suppress(OSError):
                (self.path / f"{worker}{suffix}").unlink()
        with contextlib.suppress(OSError):
            remove(self.path / f"{worker}{MODULES}")

    def sweep(self) -> set[str]:
        """Remove how workers ended a while ago, and return the ids of those that live."""
        live = {record.id for record in self.records()}
        with contextlib.suppress(OSError):
            for path in self.path.iterdir():
                if path.suffix in SUFFIXES and path.stem not in live:
                    with contextlib.suppress(OSError):
                        if time.time() - path.stat().st_mtime > ENDS_KEPT:
                            remove(path)
        return live


def _lock(descriptor: int) -> bool:
    """Take the lock of an open file, if no one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> WorkerRecord | None:
    try:
        return parse_record(read_file(path), WorkerRecord)
    except (OSError, ValueError):
        return None


def runtime_directory(variables: Mapping[str, str]) -> RuntimeDirectory:
    """Return the directory that the variables name, made if need be, and checked.

    Raises:
        UsageError: When it is not a directory of this user's alone, or its path is too long.
    """
    path = chosen_directory(variables)
    _check_length(path)
    _make(path)
    return RuntimeDirectory(path)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise UsageError(
            f"cannot be made ({error.strerror})",
            where=str(path),
            fix=remedy(error, "set MM_RUNTIME_DIR to a directory of yours"),
        ) from error
    _check_rights(path, found)


def look_at_runtime_directory(variables: Mapping[str, str]) -> RuntimeDirectory | None:
    """Return what `runtime_directory` would, but make nothing: None where it is not there yet.

    Raises:
        UsageError: When `runtime_directory` would refuse it.
    """
    path = chosen_directory(variables)
    _check_length(path)
    try:
        found = path.lstat()
    except OSError:
        return None
    _check_rights(path, found)
    return RuntimeDirectory(path)


def logs_of(logs: Path, model: str) -> Iterator[Path]:
    """Yield the logs of a model's workers, `MODEL.ID.log`; names may have dots, ids have none."""
    return (log for log in logs.glob("*.log") if log.stem.rpartition(".")[0] == model)


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= PATH_LIMIT


def _check_length(path: Path) -> None:
    if not _fits(path):
        raise UsageError(
            f"the path is longer than the {PATH_LIMIT} bytes that a socket's name leaves",
            where=str(path),
            fix="set MM_RUNTIME_DIR to a shorter one",
        )


def _check_rights(path: Path, found: os.stat_result) -> None:
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            "the directory for sockets must belong to you and be closed to others",
            where=str(path),
            fix=f"run: {shlex.join(['chmod', '700', str(path)])}"
            if ours
            else "set MM_RUNTIME_DIR to another one",
        )


def chosen_directory(variables: Mapping[str, str]) -> Path:
    """Return the path of the directory, which may be missing or unfit."""
    if chosen := variables.get("MM_RUNTIME_DIR"):
        return Path(chosen).expanduser().absolute()
    if users := variables.get("XDG_RUNTIME_DIR"):
        directory = Path(users)
        # Left over from another login (`su`, `sudo`), it is not ours to use.
        ours = directory.is_dir() and directory.stat().st_uid == os.getuid()
        if ours and _fits(directory / "mm"):
            return directory / "mm"
    name = f"mm-{os.getuid()}"
    choice = [Path(tempfile.gettempdir()) / name]
    if (own := users_temporary_directory()) is not None:
        # TMPDIR differs between a terminal, ssh, cron and a nix shell, and the system removes files
        # that are old there, while their worker lives.
        choice = [home_directory(variables).runtime, own / name]
    # Of a long path no socket can be made; the same place then for every command.
    return next(filter(_fits, choice), Path("/tmp", name))  # noqa: S108 - its owner is checked


def users_temporary_directory() -> Path | None:
    """Return the directory for temporary files that macOS made for this user; None elsewhere."""
    try:
        found = os.confstr(CS_DARWIN_USER_TEMP_DIR)
    except (OSError, ValueError):
        return None
    return Path(found) if found else None
