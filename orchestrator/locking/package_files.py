"""Files of packages on an index: how large a wheel is, what building a source needs.

A wheel is a zip archive, whose directory stands at its end: the index is asked for that part alone.
Indexes need not name sizes, and none names what a file takes once it is unpacked. What a source
package needs in order to be built stands in its own `pyproject.toml`, and is read from the very
file whose hash the lock names.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from orchestrator.core.toml import parse_toml
from orchestrator.environments.sizes_file import WheelSize
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.downloads import open_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.core.wheels import PackageFile

DEFAULT_REQUIREMENTS = ("setuptools>=40.8.0",)
"""What PEP 518 has a package without `[build-system]` need."""

_LIMIT = 1 << 30
"""Bytes of the largest source, or end of a wheel, that is read."""

_END_OF_DIRECTORY = b"PK\5\6"
"""Begins the last record of a zip archive; the length of the directory stands 12 bytes later."""

_BLOCK = 64 << 10
"""Bytes asked for at once; the directory of most wheels fits."""

_DISK_BLOCK = 4096
"""Bytes of the unit in which common file systems give out space."""


def wheel_size(url: str, variables: Mapping[str, str]) -> WheelSize:
    """Return the sizes of the wheel at a URL.

    Raises:
        OSError: When it cannot be read, or its server sends no parts of files.
        zipfile.BadZipFile: When it is no archive.
        ValueError: When the URL is none.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        return WheelSize(path.stat().st_size, _unpacked_size(path))
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url} is not a place to fetch from")
    size, tail = _fetch_tail(url, _BLOCK, variables)
    end = tail.rfind(_END_OF_DIRECTORY)
    directory = len(tail) - end + int.from_bytes(tail[end + 12 : end + 16], "little")
    if end >= 0 and len(tail) < directory <= _LIMIT:
        size, tail = _fetch_tail(url, directory, variables)
    with tempfile.TemporaryFile() as file:  # sparse: only the end of the archive takes room
        file.seek(size - len(tail))
        file.write(tail)
        return WheelSize(size, _unpacked_size(file))


def _fetch_tail(url: str, length: int, variables: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the size of a file on a server, and at most its last `length` bytes."""
    with open_url(url, variables, {"Range": f"bytes=-{length}"}) as answer:
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status != 206 or not whole.isdigit():
            raise OSError("its server sends no parts of files")
        return int(whole), answer.read(length)


def _unpacked_size(file: Path | IO[bytes]) -> int:
    """Return the bytes that the files of a wheel take on a disk."""
    with zipfile.ZipFile(file) as archive:
        return sum(-(-each.file_size // _DISK_BLOCK) * _DISK_BLOCK for each in archive.filelist)


def build_requirements(source: PackageFile, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the package in `source` needs in order to be built.

    Raises:
        EnvironmentFailure: When it cannot be fetched, has another hash, or cannot be read.
    """
    data = _fetch(source.url, variables)
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise EnvironmentFailure(
            f"the source of {source.package} does not have the hash that the index names",
            fix="check the package index",
        )
    return named_requirements(source.package, read_pyproject(source.package, data))


def named_requirements(name: str, pyproject: str | None) -> tuple[str, ...]:
    """Return the build requirements that the text of a `pyproject.toml` names.

    Raises:
        EnvironmentFailure: When it is not valid.
    """
    if pyproject is None or "build-system" not in pyproject:
        return DEFAULT_REQUIREMENTS
    try:
        system = parse_toml(pyproject).get("build-system", {})
        requires = system.get("requires", DEFAULT_REQUIREMENTS)
        return tuple(str(requirement) for requirement in requires)
    except (ValueError, AttributeError, TypeError) as error:
        raise EnvironmentFailure(
            f"the pyproject.toml of {name} cannot be read ({error})",
            fix="ask its author, or do without it",
        ) from error


def read_pyproject(name: str, data: bytes) -> str | None:
    """Return the `pyproject.toml` at the top of a source archive, or None where it has none.

    Raises:
        EnvironmentFailure: When `data` is no archive.
    """
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                member = _top(archive.namelist())
                return archive.read(member).decode("utf-8") if member else None
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = _top(archive.getnames())
            stream = archive.extractfile(member) if member else None
            return stream.read().decode("utf-8") if stream else None
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, KeyError) as error:
        raise EnvironmentFailure(
            f"the source of {name} cannot be read ({error})", fix="check the package index"
        ) from error


def _top(names: Iterable[str]) -> str | None:
    return next((n for n in names if n.count("/") == 1 and n.endswith("/pyproject.toml")), None)


def _fetch(url: str, variables: Mapping[str, str]) -> bytes:
    try:
        with open_url(url, variables) as answer:
            data: bytes = answer.read(_LIMIT)
            return data
    except (OSError, ValueError) as error:  # urllib's errors are among them
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        raise EnvironmentFailure(
            f"{name} could not be fetched ({error})", fix="check the network, then run it again"
        ) from error
