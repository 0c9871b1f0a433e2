"""Fetches one archive and takes the picked files out of it, within limits."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zipfile
from base64 import b64decode
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.core.refusals import refusal
from orchestrator.errors import SourceError
from orchestrator.sources.npm import NpmRegistry
from orchestrator.system.downloads import blocks, open_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.core.manifest import Archive

MAX_MEMBER = 4 << 30
"""Bytes of one picked file, unpacked."""

MAX_UNPACKED = 16 << 30
"""Bytes that are unpacked in all to find the picked files of one archive."""

TRIES = 3
"""How often a download whose connection breaks is begun."""


def fetch_archive(
    archive: Archive,
    target: Path,
    variables: Mapping[str, str],
    on_bytes: Callable[[int], None],
) -> None:
    """Put the picked files of an archive below `target`, by the names that the model has for them.

    Args:
        archive: The archive.
        target: A directory; what is fetched lies beside it meanwhile.
        variables: The user's environment variables.
        on_bytes: Receives the bytes of each block that has arrived.

    Raises:
        SourceError: When it does not come, has another hash, or has not the files.
    """
    with tempfile.TemporaryFile(dir=target.parent) as stream:
        _download(archive, stream, target, variables, on_bytes)
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
    archive: Archive,
    stream: IO[bytes],
    target: Path,
    variables: Mapping[str, str],
    on_bytes: Callable[[int], None],
) -> None:
    kind, wanted = _hash(archive)
    for left in reversed(range(TRIES)):
        stream.seek(0)
        stream.truncate()
        count = 0
        state = hashlib.new(kind)
        try:
            for block in _blocks(archive, variables):
                stream.write(block)
                state.update(block)
                count += len(block)
                on_bytes(len(block))
            break
        except (OSError, ValueError) as error:
            on_bytes(-count)
            if known := refusal(error, str(target.parent.parent)):
                raise known from error
            if not left or not _is_passing(error):
                answered = getattr(error, "code", None) in (404, 410)
                fix = "correct source.archives, or the registry that is set"
                if not answered:
                    mirror = ", or set NPM_CONFIG_REGISTRY to a mirror," if archive.npm else ""
                    fix = f"check the network and the proxy{mirror or ','} then run it again"
                what = f"could not be fetched ({error})"
                raise SourceError(what, where=archive.where, fix=fix) from error
    if state.digest() != wanted:
        raise SourceError(
            f"arrived with another {kind} than the manifest pins, and was not used",
            where=archive.where,
            fix="run it again; if that does not help, compare the hash with its publisher's "
            "or choose another mirror",
        )


def _blocks(archive: Archive, variables: Mapping[str, str]) -> Iterator[bytes]:
    if archive.npm:
        registry = NpmRegistry(variables)
        url, credentials = registry.tarball(archive.npm)
    else:
        url, credentials = archive.url, ""
    with open_url(url, variables, credentials=credentials) as answer:
        yield from blocks(answer)


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
