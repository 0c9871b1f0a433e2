"""Files of models from archives: packages of npm, and files on web servers, pinned by hash.

What a source picks lies in `MM_HOME/archives/<digest12>/`, once for all models that pick the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest, short
from orchestrator.sources.model_files import FileRecord, SourceRecord, describe, system_errors
from orchestrator.system.content_store import ContentStore
from orchestrator.system.flock import nap, wait_lock
from orchestrator.system.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.core.manifest import Archive
    from orchestrator.system.home import Home

MARKER = "archive.json"
FILES = "files"
"""The directory, in an entry, of the picked files."""


class ArchiveMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: an entry without it is not whole."""

    digest: str
    """Which archives, and which of their files by which names."""
    files: dict[str, FileRecord]
    """What was picked, by the names that the model has for it."""


class Archives:
    """What was picked from archives, in one `MM_HOME`.

    Args:
        home: `MM_HOME`.
        variables: The user's environment variables.
    """

    def __init__(self, home: Home, variables: Mapping[str, str]) -> None:
        self._home = home
        self._variables = variables
        self._store = ContentStore(
            home.archives, home.locks, kind="archive", marker_file=MARKER, marker_type=ArchiveMarker
        )

    def find(self, archives: Sequence[Archive]) -> tuple[Path, dict[str, FileRecord]] | None:
        """Return the directory with the files of `archives` and what is in it, or None."""
        directory = self._store.root / short(archives_digest(archives))
        marker = self._store.marker(directory)
        if marker is None or marker.digest != archives_digest(archives):
            return None
        record = SourceRecord(path=str(directory / FILES), files=marker.files)
        if next(record.differing(), None) is not None:  # fetched again, not used as it is
            return None
        return directory / FILES, marker.files

    def fetch(
        self,
        archives: Sequence[Archive],
        on_bytes: Callable[[int], None] = lambda _: None,
        pause: Callable[[], None] = nap,
    ) -> tuple[Path, dict[str, FileRecord]]:
        """Return the same, fetched and unpacked first where it is not there.

        Args:
            archives: Those of one source.
            on_bytes: Receives the bytes of each block that has arrived.
            pause: Called again and again while another process fetches them; what it raises ends
                the wait.

        Raises:
            SourceError: When an archive does not come, has another hash, or has not the files.
        """
        if found := self.find(archives):
            return found
        name = archives_digest(archives)
        directory = self._store.root / short(name)
        lock = self._home.locks / f"archive-{short(name)}-build.lock"
        with (
            wait_lock(lock, pause=pause),
            system_errors("the files cannot be written", directory),
        ):
            if found := self.find(archives):
                return found

            # Imported here: every command that lists models imports this module.
            from orchestrator.sources.archive_files import fetch_archive

            def fill() -> ArchiveMarker:
                files = directory / FILES
                for archive in archives:
                    fetch_archive(archive, files, self._variables, on_bytes)
                names = [name for archive in archives for name in archive.files.values()]
                return ArchiveMarker(
                    digest=name,
                    files={n: describe(files / n, sha256_of(files / n)) for n in names},
                )

            marker = self._store.make(directory, fill)
        return directory / FILES, marker.files

    def discard(self, directory: Path) -> int:
        """Remove an entry by the directory of its files; return how many bytes it had.

        Raises:
            SourceError: When it cannot be removed.
        """
        entry = directory.parent
        marker = self._store.marker(entry)
        with system_errors("cannot be removed", entry):
            gone = self._store.discard(entry)
        return sum(each.size for each in marker.files.values()) if gone and marker else 0

    def is_ours(self, directory: str) -> bool:
        """Return whether a record's directory is an entry's."""
        return Path(directory).parent.parent == self._store.root


def archives_digest(archives: Sequence[Archive]) -> str:
    """Return what tells the picked files from others; where they come from is no part of it."""
    return digest([[each.integrity or each.sha256, dict(each.files)] for each in archives])
