"""`MM_HOME`: where built environments, overlays, logs, locks and settings live, and its format.

Paths only, made on demand. Nothing here knows what is inside an environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.core.json_text import parse_json, parse_record
from orchestrator.core.refusals import remedy
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.files import naming, read_file
from orchestrator.worker.runner import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

FORMAT = 1
"""The version of the layout below. A newer one on disk stops `mm`."""

FORMAT_FILE = "format.json"


@dataclass(frozen=True)
class Home:
    """The paths under `MM_HOME`."""

    root: Path

    @property
    def environments(self) -> Path:
        """Built environments: `envs/<model>-<digest12>/`."""
        return self.root / "envs"

    @property
    def models(self) -> Path:
        """Overlays, `models/<model>/<digest12>/`, and beside them the records of models' files."""
        return self.root / "models"

    @property
    def archives(self) -> Path:
        """Files of models that were taken from archives: `archives/<digest12>/`."""
        return self.root / "archives"

    @property
    def converted(self) -> Path:
        """Weights that were converted on this machine: `converted/<model>-<digest12>/`."""
        return self.root / "converted"

    @property
    def worker_home(self) -> Path:
        """What workers see as HOME."""
        return self.root / "home"

    @property
    def logs(self) -> Path:
        """Logs of installers and workers."""
        return self.root / "logs"

    @property
    def locks(self) -> Path:
        """Files for `flock`; never removed, because a removed lock file locks no one out."""
        return self.root / "locks"

    @property
    def mine(self) -> Path:
        """Locks of the user's own: `mine/<env>/requirements.lock`."""
        return self.root / "mine"

    @property
    def results(self) -> Path:
        """Finished pipeline steps."""
        return self.root / "results"

    @property
    def runs(self) -> Path:
        """Records of pipeline runs."""
        return self.root / "runs"

    @property
    def runtime(self) -> Path:
        """Sockets and records of workers, where the system has no directory for such files."""
        return self.root / "run"

    @property
    def jobs(self) -> Path:
        """Directories of running jobs, swept when the process that made them is gone."""
        return self.root / "jobs"

    @property
    def serve(self) -> Path:
        """Jobs of `mm serve` that outlive it: `serve/<port>/<job>/`."""
        return self.root / "serve"

    @property
    def partial(self) -> Path:
        """What jobs had streamed before they were stopped."""
        return self.root / "partial"

    @property
    def bundles(self) -> Path:
        """Models that came as content from another machine: `bundles/<digest12>/`."""
        return self.root / "bundles"

    @property
    def self_tests(self) -> Path:
        """What self-tests of devices found: `self-tests/<model>.<device>.<dtype>.json`."""
        return self.root / "self-tests"

    @property
    def settings(self) -> Path:
        """Trust and `mm use`."""
        return self.root / "settings.json"

    @property
    def resolved(self) -> Path:
        """Which pins of which lock apply on which interpreter, as it was worked out before."""
        return self.root / "resolved.json"

    @property
    def manifests(self) -> Path:
        """Manifests as they were read before."""
        return self.root / "manifests.json"

    @property
    def facts(self) -> Path:
        """Facts about interpreters, kept so that no process is needed to know them again."""
        return self.root / "interpreters.json"

    def check(self) -> bool:
        """Return whether this format's marker is there.

        Raises:
            EnvironmentFailure: When a newer `mm` made this directory.
        """
        found = read_json(self.root / FORMAT_FILE)
        version = found.get("format") if isinstance(found, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise EnvironmentFailure(
                f"made by a newer mm (format {version}; this one knows {FORMAT})",
                where=str(self.root),
                fix="upgrade mm-orchestrator, or point MM_HOME elsewhere",
            )
        return version == FORMAT

    def prepare(self) -> None:
        """Make the root and its format marker, before anything is written below it.

        Raises:
            EnvironmentFailure: When the directory cannot be written, or a newer `mm` made it.
        """
        if self.check():
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_json(self.root / FORMAT_FILE, {"format": FORMAT})
        except OSError as error:
            raise unwritable(error, self.root) from error


def unwritable(error: OSError, where: Path | str) -> EnvironmentFailure:
    """Return the error for a place under `MM_HOME` that cannot be written."""
    fix = remedy(error, "set MM_HOME to a directory of yours")
    return EnvironmentFailure(f"cannot be written ({error.strerror})", where=str(where), fix=fix)


def home_directory(variables: Mapping[str, str]) -> Home:
    """Return the `Home` that `MM_HOME` names, or the one in the platform's user data directory."""
    chosen = variables.get("MM_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    import platformdirs

    return Home(Path(platformdirs.user_data_dir("mm", appauthor=False)))


def make_private(directory: Path) -> None:
    """Make a directory for what users gave and got, closed to other users under every umask.

    One that an earlier version left open is closed, and then all that is in it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o777 == 0o700:
        return
    try:
        directory.chmod(0o700)
    except OSError:
        return  # another user's: the first write there fails, and says why
    for base, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(base, name)
            with contextlib.suppress(OSError):  # gone, or another user's
                mode = path.lstat().st_mode
                if mode & 0o077 and not stat.S_ISLNK(mode):
                    path.chmod(mode & 0o700)


def read_json(path: Path) -> Any:
    """Return what a JSON file of ours holds, or None when it is missing or damaged.

    A damaged record means: make it again. It is never worth a traceback.

    Raises:
        OSError: When the machine has no descriptors or memory for it, so that nothing is known.
    """
    return _read_as(path, parse_json)


def read_record(path: Path, kind: type[T]) -> T | None:
    """Return the record of the type `kind` in a JSON file; otherwise as `read_json`."""
    return _read_as(path, lambda data: parse_record(data, kind))


def _read_as(path: Path, parse: Callable[[bytes], T]) -> T | None:
    try:
        return parse(read_file(path))
    except ValueError:
        return None
    except OSError as error:
        if error.errno in LIMITS:
            raise
        return None


def json_line(value: Any) -> bytes:
    """Return `value` as JSON without a line break; readable text where that can be.

    The name of a file, or the words of an error, may be no text (half a surrogate pair): then
    everything beyond ASCII is escaped.
    """
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii")


def text_bytes(text: str) -> bytes:
    """Return text in UTF-8; half a surrogate pair, which has none, as JSON escapes it."""
    return text.encode("utf-8", "backslashreplace")


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write `value` as JSON so that a reader sees the old file or the whole new one."""
    write_atomically(
        path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode("utf-8"), mode=mode
    )


def write_atomically(path: Path, data: bytes, *, mode: int | None = 0o644) -> None:
    """Replace the file `path` by one that holds `data`, or leave it untouched.

    Args:
        path: The file; the directories above it are made.
        data: What it is to hold.
        mode: As for `replacing`.

    Raises:
        OSError: When the directory cannot be written; the temporary file is gone by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=mode) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = 0o644) -> Iterator[Path]:
    """Yield an empty file beside `path`, which takes its place, on disk, when the block ends well.

    Args:
        path: The file.
        mode: Its permissions; None for those that the umask leaves to a new file of the user's.

    Raises:
        OSError: When the directory cannot be written; the temporary file is gone by then.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(temporary, flags, 0o666 if mode is None else 0o600))
    try:
        with naming(path):
            yield temporary
        with naming(path), temporary.open("rb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
