"""Weights that were converted on this machine: `MM_HOME/converted/<model>-<digest12>/`.

Each entry is named for the files that it was made from and the data type; its marker comes last.
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from orchestrator.core.canonical import digest, short
from orchestrator.core.units import format_size
from orchestrator.errors import JobFailed, OutputError, SourceError
from orchestrator.sources.model_files import FileRecord, SourceRecord, describe, system_errors
from orchestrator.system.content_store import ContentStore
from orchestrator.system.copying import copy_file
from orchestrator.system.flock import try_lock
from orchestrator.system.hashing import sha256_of
from orchestrator.system.machine import free_disk
from orchestrator.system.waiting import Wait, take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.catalog import Declared
    from orchestrator.system.home import Home

MARKER = "converted.json"
FORMAT = 1

MARGIN = 256 << 20
"""Bytes that a disk must keep free."""

FULL = 1 << 20
"""A disk with fewer free bytes is what ended a conversion that failed."""


class ConversionMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: an entry without it is not whole."""

    digest: str
    """What it was made from."""
    folder: str
    """The directory in the entry that holds the files."""
    files: dict[str, FileRecord]


class Conversions:
    """What was converted, in one `MM_HOME`.

    Args:
        home: `MM_HOME`.
        free: Returns the bytes that are free where a path lies.
    """

    def __init__(self, home: Home, free: Callable[[Path], int] = free_disk) -> None:
        self._locks = home.locks
        self._free = free
        self._store = ContentStore(
            home.converted,
            home.locks,
            kind="converted",
            marker_file=MARKER,
            marker_type=ConversionMarker,
        )

    def make(
        self,
        declared: Declared,
        original: SourceRecord,
        fill: Callable[[Path], Iterable[str]],
        keep: Callable[[SourceRecord], None],
        wait: Wait,
    ) -> tuple[SourceRecord, bool]:
        """Return the record of an entry, made first where it is not there, and whether it was.

        Args:
            declared: The model, at a data type.
            original: The files that it is made from.
            fill: As for `Sources.convert`.
            keep: Keeps the record, without which the entry is unneeded.
            wait: For another process that makes it.

        Raises:
            SourceError: When the disk is too small or cannot be written.
            OutputError: When `fill` keeps what is no file of the original.
        """
        about = [FORMAT, declared.manifest.env, declared.precision, original.digest]
        name = digest(about)
        directory = self._store.root / f"{declared.name}-{short(name)}"
        with (
            take_lock(self._build_lock(directory), wait),
            system_errors("the converted weights cannot be written", directory),
        ):
            marker = self._store.marker(directory)
            record = None if marker is None else _record(directory, marker, original)
            made = record is None or next(record.differing(), None) is not None
            if record is None or made:
                self._check_room(directory, original.size)
                make = partial(self._filled, directory, name, original, fill)
                record = _record(directory, self._store.make(directory, make), original)
            keep(record)
        return record, made

    def directories(self) -> tuple[Path, ...]:
        """Return every entry, whole or not."""
        return self._store.directories()

    def prune(self, directory: Path) -> bool:
        """Remove an entry, unless it is being made; return whether it is gone.

        Raises:
            SourceError: When it cannot be removed.
        """
        held = try_lock(self._build_lock(directory))
        if held is None:
            return False
        with held, system_errors("cannot be removed", directory):
            return self._store.discard(directory)

    def _filled(
        self,
        directory: Path,
        name: str,
        original: SourceRecord,
        fill: Callable[[Path], Iterable[str]],
    ) -> ConversionMarker:
        # Of a name of its own: a worker whose mm was killed finds its directory gone, and not ours.
        folder = directory / secrets.token_hex(4)
        folder.mkdir()
        try:
            kept = list(fill(folder))
        except JobFailed:  # libraries have words of their own for it
            if self._free(folder) < FULL:
                self._refuse(directory, original.size)
            raise
        for each in kept:
            if each not in original.files:
                raise OutputError(f"convert keeps {each!r}, which is no file of the original")
            target = folder.joinpath(*each.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(original.file(each).resolve(), target)
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        files = {each: describe(folder / each, sha256_of(folder / each)) for each in names}
        return ConversionMarker(digest=name, folder=folder.name, files=files)

    def _check_room(self, directory: Path, size: int) -> None:
        if size + MARGIN > self._free(directory):
            self._refuse(directory, size)

    def _refuse(self, directory: Path, size: int) -> NoReturn:
        raise SourceError(
            f"converted weights need {format_size(size + MARGIN)} of disk, and "
            f"{format_size(self._free(directory))} are free",
            where=str(directory),
            fix="make room, or set MM_HOME to another disk",
        )

    def _build_lock(self, directory: Path) -> Path:
        return self._locks / f"converted-{directory.name[-12:]}-build.lock"

    def discard(self, files: Path) -> int:
        """Remove an entry, by the directory of its files; return how many bytes they had.

        Raises:
            SourceError: When it cannot be removed.
        """
        marker = self._store.marker(files.parent)
        if files.parent.parent != self._store.root or not self.prune(files.parent):
            return 0
        return sum(each.size for each in marker.files.values()) if marker else 0


def _record(directory: Path, marker: ConversionMarker, original: SourceRecord) -> SourceRecord:
    path = str(directory / marker.folder)
    return SourceRecord(path=path, files=marker.files, converted=original.digest)
