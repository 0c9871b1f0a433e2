"""How large wheels are, packed and unpacked, from a few kilobytes of each.

A wheel is a zip archive, whose directory stands at its end: the index is asked for that part alone.
Indexes need not name sizes, and none names what a file takes once it is unpacked.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import Request

from orchestrator.environments.build_lock import PATIENCE, opener
from orchestrator.environments.expected import WheelSize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

_BLOCK = 64 << 10
"""Bytes asked for at once; the directory of most wheels fits."""

_DISK_BLOCK = 4096
"""Bytes of the unit in which common file systems give out space."""

_PACKAGE = re.compile(r'^name = "(?P<name>[^"]+)"', re.MULTILINE)
_WHEEL = re.compile(
    r'^wheels = \[\s*\{[^\n}]*?(?P<kind>url|path) = "(?P<place>[^"]+)"', re.MULTILINE
)


class Wheel(NamedTuple):
    """A package, and the URL or path of the wheel of it that would be installed."""

    package: str
    place: str


def wheels(pylock: str, folder: Path) -> list[Wheel]:
    """Return the wheels that a `pylock.toml` of uv's names, the first of each package.

    Args:
        pylock: Its text, made for one platform and Python.
        folder: Where it lies; paths are relative to that.
    """
    found = []
    for block in pylock.split("[[packages]]")[1:]:
        name, wheel = _PACKAGE.search(block), _WHEEL.search(block)
        if name and wheel:
            local = wheel["kind"] == "path"
            place = str((folder / wheel["place"]).resolve()) if local else wheel["place"]
            found.append(Wheel(name["name"], place))
    return found


def measure(place: str, variables: Mapping[str, str]) -> WheelSize:
    """Return the sizes of the wheel at a URL or path.

    Raises:
        OSError: When it cannot be read, or its server sends no parts of files.
        zipfile.BadZipFile: When it is no archive.
        ValueError: When the URL is none.
    """
    parts = urlsplit(place)
    local = place if not parts.scheme else unquote(parts.path) if parts.scheme == "file" else ""
    with Path(local).open("rb") if local else _Remote(place, variables) as file:
        with zipfile.ZipFile(file) as archive:
            disk = sum(-(-each.file_size // _DISK_BLOCK) * _DISK_BLOCK for each in archive.filelist)
        return WheelSize(file.seek(0, io.SEEK_END), disk)


class _Remote(io.RawIOBase):
    """A file on a server, of which only what is read is fetched; its end is fetched first."""

    def __init__(self, url: str, variables: Mapping[str, str]) -> None:
        super().__init__()
        self._url = url
        self._opener = opener(variables)
        self._at = 0
        self._data, self._start = b"", 0
        answer = self._ask(f"bytes=-{_BLOCK}")
        whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status != 206 or not whole.isdigit():
            answer.close()
            raise OSError("its server sends no parts of files")
        with answer:
            self._data = answer.read(_BLOCK)
        self._size = int(whole)
        self._start = self._size - len(self._data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        if not self._start <= self._at <= self._at + wanted <= self._start + len(self._data):
            with self._ask(f"bytes={self._at}-{self._at + max(wanted, _BLOCK) - 1}") as answer:
                self._data, self._start = answer.read(max(wanted, _BLOCK)), self._at
        found = self._data[self._at - self._start :][:wanted]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _ask(self, part: str) -> HTTPResponse:
        if urlsplit(self._url).scheme not in ("http", "https"):
            raise ValueError(f"{self._url} is not a place to fetch from")
        request = Request(self._url, headers={"Range": part})  # noqa: S310 - checked above
        answer: HTTPResponse = self._opener.open(request, timeout=PATIENCE)
        return answer
