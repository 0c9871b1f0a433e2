"""Images and sounds inside a page, as `data:` addresses, within a bound."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.units import format_size
from orchestrator.pipelines.report.html import Markup, tag
from orchestrator.pipelines.report.scaling import scaled
from orchestrator.results import MEDIA_TYPES

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 720
"""Pixels in a row of an image that is scaled down."""

SMALL = 150_000
"""Bytes of an image that goes into the page as it is."""

LARGEST = 2_000_000
"""Bytes of an image that cannot be scaled and still goes into the page."""

SHOWN = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
PLAYED = frozenset({".wav", ".mp3", ".ogg", ".flac"})
"""Files that every browser shows and plays."""


@dataclass
class Media:
    """What of a page's bound is left.

    Attributes:
        limit: Bytes that images and sounds may take in the page.
        spent: Bytes that they take.
        left_out: How many images and sounds it does not hold.
        left_out_size: Their bytes.
    """

    limit: int
    spent: int = 0
    left_out: int = 0
    left_out_size: int = 0

    def image(self, path: Path, title: str) -> Markup:
        """Return an image, scaled down where it is large, or what stands for it."""
        try:
            found = self._image(path)
            size = path.stat().st_size
        except OSError as error:
            return _absent(f"its image is gone ({error.strerror})", path)
        if found is None:
            self._leave_out(size)
            return _absent(f"an image of {format_size(size)}, left out", path)
        data, kind = found
        if not self._spend(len(data)):
            self._leave_out(size)
            return _absent(f"an image of {format_size(size)}, left out for want of room", path)
        return tag("img", src=_address(kind, data), alt=title, loading="lazy")

    def sound(self, path: Path, title: str, limit: int | None = None) -> Markup:
        """Return a player, or what stands for it.

        Args:
            path: The sound.
            title: What it is called.
            limit: Bytes that it may take at most in the page.
        """
        try:
            size = path.stat().st_size
            fits = limit is None or _coded(size) <= limit
            if path.suffix.lower() not in PLAYED or not fits or not self._spend(size):
                self._leave_out(size)
                return _absent(f"a sound of {format_size(size)}, left out for want of room", path)
            data = path.read_bytes()
        except OSError as error:
            return _absent(f"its sound is gone ({error.strerror})", path)
        address = _address(MEDIA_TYPES[path.suffix.lower()], data)
        return tag("audio", controls=True, preload="metadata", src=address, aria_label=title)

    def _image(self, path: Path) -> tuple[bytes, str] | None:
        size, suffix = path.stat().st_size, path.suffix.lower()
        shown = suffix in SHOWN
        if shown and size <= SMALL:
            return path.read_bytes(), MEDIA_TYPES[suffix]
        small = scaled(path, WIDTH)
        if small is not None and len(small) < size:
            return small, "image/png"
        return (path.read_bytes(), MEDIA_TYPES[suffix]) if shown and size <= LARGEST else None

    def _spend(self, size: int) -> bool:
        if self.spent + _coded(size) > self.limit:
            return False
        self.spent += _coded(size)
        return True

    def _leave_out(self, size: int) -> None:
        self.left_out += 1
        self.left_out_size += size


def _coded(size: int) -> int:
    """Return how many bytes so many take in Base64."""
    return 4 * ((size + 2) // 3)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _absent(what: str, path: Path) -> Markup:
    return tag("p", what, ": ", tag("code", str(path)), class_="absent")
