"""A model's files: which are wanted, the record of them, and whether they are still as recorded.

Records lie in `MM_HOME/models/<model>/source.json`, those of converted weights beside it, as
`4bit.json`. A damaged record counts as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from orchestrator.core.canonical import digest
from orchestrator.core.json_text import parse_json
from orchestrator.core.refusals import remedy
from orchestrator.core.units import format_size
from orchestrator.errors import SourceError
from orchestrator.system.files import read_file
from orchestrator.system.hashing import hash_file, sha256_of
from orchestrator.system.home import Home, read_record, write_json

RECORD = "source.json"

INDEX_SUFFIX = ".index.json"
"""Of the files that say which shard holds which tensor."""


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was when it was pulled or added."""

    size: int
    """Bytes."""
    sha256: str
    modified: int
    """Nanoseconds since the epoch, as the file system has it."""
    directory: str = ""
    """Where it lies, if it is not in the directory of the others."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one model."""

    path: str
    """The directory that holds them: a snapshot in the hub's cache, the user's own, or an entry of
    `MM_HOME/archives` or `MM_HOME/converted`."""
    files: dict[str, FileRecord]
    """By path below the directory, with `/`."""
    repo: str = ""
    """Where they were pulled from; empty where the user added a directory."""
    revision: str = ""
    """What the manifest asked for."""
    commit: str = ""
    """What that was when it was pulled."""
    hub: str = ""
    """The hub that `commit` is of, where it is not Hugging Face."""
    archives: str = ""
    """The digest of what the manifest asked for from archives, when it was fetched."""
    converted: str = ""
    """The digest of the files that these were converted from on this machine."""

    @property
    def pulled(self) -> bool:
        """Whether the files were fetched; else they are in a directory that the user added."""
        return bool(self.repo or self.archives)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(each.size for each in self.files.values())

    @property
    def digest(self) -> str:
        """What distinguishes these files from others, wherever they lie: over names and hashes."""
        return digest({name: file.sha256 for name, file in self.files.items()})

    def file(self, name: str) -> Path:
        """Return the path of one of the files."""
        return Path(self.files[name].directory or self.path, *name.split("/"))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None where there is no such file."""
        return read_file(self.file(name)) if name in self.files else None

    def dangling(self) -> str | None:
        """Return the first file that is not there, or None; a link must lead somewhere."""
        return next((name for name in self.files if not self.file(name).is_file()), None)

    def differing(
        self, *, full: bool = False, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[str, str]]:
        """Yield each file that is not as recorded, and what is wrong with it.

        Args:
            full: Whether to read also the files whose size and time are as they were.
            progress: Receives the bytes of each block that is read.
        """
        for name, known in self.files.items():
            path = self.file(name)
            try:
                status = path.stat()
                if status.st_size != known.size:
                    size = format_size(status.st_size)
                    yield name, f"has {size} instead of {format_size(known.size)}"
                elif (full or status.st_mtime_ns != known.modified) and (
                    sha256_of(path, progress) != known.sha256
                ):
                    yield name, "has another hash"
            except OSError as error:
                yield name, f"cannot be read ({error.strerror})"


def record_path(home: Home, model: str, precision: str = "") -> Path:
    """Return where the record of a model lies, or of its converted weights of a data type."""
    return home.models / model / (f"{precision}.json" if precision else RECORD)


def load_record(home: Home, model: str, precision: str = "") -> SourceRecord | None:
    """Return the record of a model, or None where there is none or it is damaged."""
    return read_record(record_path(home, model, precision), SourceRecord)


def save_record(home: Home, model: str, record: SourceRecord, precision: str = "") -> None:
    """Keep the record of a model, or of its converted weights of a data type.

    Raises:
        SourceError: When the home cannot be written.
    """
    path = record_path(home, model, precision)
    try:
        write_json(path, msgspec.to_builtins(record))
    except OSError as error:
        raise SourceError(f"cannot be written ({error.strerror})", where=str(path)) from error


def describe(path: Path, sha256: str) -> FileRecord:
    """Return the record of the file at `path`, whose hash is known.

    Raises:
        OSError: When it cannot be read.
    """
    status = path.stat()
    return FileRecord(size=status.st_size, sha256=sha256, modified=status.st_mtime_ns)


@contextmanager
def system_errors(what: str, where: Path, *, fix: str = "") -> Iterator[None]:
    """Raise a `SourceError` for a failed system call: `what`, the system's reason, and the path."""
    try:
        yield
    except OSError as error:
        path = str(error.filename or where)
        fix = remedy(error, fix)
        raise SourceError(f"{what} ({error.strerror})", where=path, fix=fix) from error


def wanted(name: str, include: Sequence[str]) -> bool:
    """Return whether the file `name` (with `/`) fits one of the patterns, where there are any."""
    return not include or any(fnmatchcase(name, pattern) for pattern in include)


def find_files(directory: Path, include: Sequence[str]) -> list[str]:
    """Return the wanted files below `directory`, sorted; hidden directories are passed over.

    Raises:
        SourceError: When it cannot be read, or no file fits one of the patterns.
    """
    names = []
    with system_errors("cannot be read", directory):
        for base, directories, files in os.walk(directory, onerror=_raise):
            directories[:] = [each for each in directories if not each.startswith(".")]
            below = Path(base).relative_to(directory)
            names += [(below / file).as_posix() for file in files if not file.startswith(".")]
    check_patterns(names, include, str(directory))
    return sorted(name for name in names if wanted(name, include))


def check_patterns(names: Sequence[str], include: Sequence[str], where: str) -> None:
    """Check that each pattern has a file.

    Raises:
        SourceError: When one has none.
    """
    for pattern in include:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SourceError(f"no file fits {pattern!r}, which the model needs", where=where)


def check_shards(directory: Path, names: Iterable[str]) -> None:
    """Check that every shard that an index names is there.

    Raises:
        SourceError: When one is not, or an index cannot be read.
    """
    for name in names:
        if not name.endswith(INDEX_SUFFIX):
            continue
        path = directory / name
        try:
            shards = set(parse_json(read_file(path))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"not an index of weights ({error})", where=str(path)) from error
        for shard in sorted(map(str, shards)):
            if not (path.parent / shard).is_file():
                raise SourceError(f"names {shard}, which is not there", where=str(path))


def git_blob_of(path: Path) -> str:
    """Return the name that git gives to the content of a file.

    Raises:
        OSError: When it cannot be read.
    """
    head = b"blob %d\0" % path.stat().st_size
    return str(hash_file(path, hashlib.sha1(head, usedforsecurity=False)).hexdigest())


def _raise(error: OSError) -> None:
    raise error
