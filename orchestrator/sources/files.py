"""A model's files on disk: which are wanted, whether they are there, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.units import format_size
from orchestrator.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.sources.records import SourceRecord

BLOCK = 1 << 22

INDEX_SUFFIX = ".index.json"
"""Of the files that say which shard holds which tensor."""


def wanted(name: str, include: Sequence[str]) -> bool:
    """Say whether the file `name` (with `/`) fits one of the patterns, where there are any."""
    return not include or any(fnmatchcase(name, pattern) for pattern in include)


def is_inside(name: str) -> bool:
    """Say whether a name from elsewhere stays below the directory that it is joined to."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def find_files(directory: Path, include: Sequence[str]) -> list[str]:
    """Return the wanted files below `directory`, sorted; hidden directories are passed over.

    Raises:
        SourceError: When it cannot be read, or no file fits one of the patterns.
    """
    names = []
    try:
        for base, directories, files in os.walk(directory, onerror=_raise):
            directories[:] = [each for each in directories if not each.startswith(".")]
            below = Path(base).relative_to(directory)
            names += [(below / file).as_posix() for file in files if not file.startswith(".")]
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})", where=str(directory)) from error
    check_patterns(names, include, str(directory))
    return sorted(name for name in names if wanted(name, include))


def check_patterns(names: Iterable[str], include: Sequence[str], where: str) -> None:
    """Check that each pattern has a file.

    Raises:
        SourceError: When one has none.
    """
    names = list(names)
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
            shards = set(json.loads(path.read_bytes())["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"not an index of weights ({error})", where=str(path)) from error
        for shard in sorted(map(str, shards)):
            if not (path.parent / shard).is_file():
                raise SourceError(f"names {shard}, which is not there", where=str(path))


def sha256_of(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file; `progress` is told the bytes of each block.

    Raises:
        OSError: When it cannot be read.
    """
    return _hash_of(path, hashlib.sha256(), progress)


def git_blob_of(path: Path) -> str:
    """Return the name that git gives to the content of a file.

    Raises:
        OSError: When it cannot be read.
    """
    head = b"blob %d\0" % path.stat().st_size
    return _hash_of(path, hashlib.sha1(head, usedforsecurity=False), lambda _: None)


def dangling(record: SourceRecord) -> str | None:
    """Return the first file of a record that is not there, or None; a link must lead somewhere."""
    return next((name for name in record.files if not record.file(name).is_file()), None)


def changed(record: SourceRecord) -> Iterator[str]:
    """Yield the files that are there and differ from the record.

    One whose size and time are as they were is not read.
    """
    for name, known in record.files.items():
        path = record.file(name)
        try:
            status = path.stat()
            if status.st_size != known.size or (
                status.st_mtime_ns != known.modified and sha256_of(path) != known.sha256
            ):
                yield name
        except OSError:
            continue  # `dangling` says so


def differing(record: SourceRecord, progress: Callable[[int], None]) -> Iterator[tuple[str, str]]:
    """Yield each file whose hash is not the recorded one, and what is wrong with it."""
    for name, known in record.files.items():
        path = record.file(name)
        try:
            if path.stat().st_size != known.size:
                size = format_size(path.stat().st_size)
                yield name, f"has {size} instead of {format_size(known.size)}"
            elif sha256_of(path, progress) != known.sha256:
                yield name, "has another hash"
        except OSError as error:
            yield name, f"cannot be read ({error.strerror})"


def _hash_of(path: Path, state: Any, progress: Callable[[int], None]) -> str:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            state.update(block)
            progress(len(block))
    return str(state.hexdigest())


def _raise(error: OSError) -> None:
    raise error
