"""What `mm` knows of a model's files: where they lie, from which commit, and their hashes.

Kept in `MM_HOME/models/<model>/source.json`. A damaged record counts as none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest
from orchestrator.home import write_json

if TYPE_CHECKING:
    from orchestrator.home import Home

RECORD = "source.json"


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was when it was pulled or added."""

    size: int
    """Bytes."""
    sha256: str
    modified: int
    """Nanoseconds since the epoch, as the file system has it."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one model."""

    path: str
    """The directory that holds them: a snapshot in the hub's cache, or the user's own."""
    files: dict[str, FileRecord]
    """By path below the directory, with `/`."""
    repo: str = ""
    """Where they were pulled from; empty where the user added a directory."""
    revision: str = ""
    """What the manifest asked for."""
    commit: str = ""
    """What that was when it was pulled."""

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(each.size for each in self.files.values())

    @property
    def digest(self) -> str:
        """What tells these files from others, wherever they lie: over names and hashes."""
        return digest({name: file.sha256 for name, file in self.files.items()})

    def file(self, name: str) -> Path:
        """Return the path of one of the files."""
        return Path(self.path, *name.split("/"))


def record_path(home: Home, model: str) -> Path:
    """Return where the record of a model lies."""
    return home.models / model / RECORD


def load_record(home: Home, model: str) -> SourceRecord | None:
    """Return the record of a model, or None where there is none or it is damaged."""
    try:
        return msgspec.json.decode(record_path(home, model).read_bytes(), type=SourceRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def save_record(home: Home, model: str, record: SourceRecord) -> None:
    """Keep the record of a model.

    Raises:
        OSError: When the home cannot be written.
    """
    write_json(record_path(home, model), msgspec.to_builtins(record))


def describe(path: Path, sha256: str) -> FileRecord:
    """Return the record of the file at `path`, whose hash is known.

    Raises:
        OSError: When it cannot be read.
    """
    status = path.stat()
    return FileRecord(size=status.st_size, sha256=sha256, modified=status.st_mtime_ns)
