"""Images and sounds inside a page, as `data:` URLs, within a bound."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from orchestrator.core.units import format_size
from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs.results import MEDIA_TYPES
from orchestrator.jobs.sound_encoder import encode_wav
from orchestrator.system.files import read_file

WIDTH = 720
"""Pixels in a row of an image that is scaled down."""

SMALL = 150_000
"""Bytes of an image that goes into the page as it is."""

COMPRESSION = 6
"""How many times smaller than a WAV file of speech an MP3 is."""

READ = 500_000_000
"""Bytes of an image that is read at all; a BMP of as many pixels as Pillow takes has fewer."""

LARGEST = 2_000_000
"""Bytes of an image that cannot be scaled and still goes into the page."""

MOST_PIXELS = (1 << 30) // 4 // 3
"""Pixels of an image that is scaled: a quarter of a gigabyte at three bytes each."""

SHOWN = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
PLAYED = frozenset({".wav", ".mp3", ".ogg", ".flac"})
"""Files that every browser shows and plays."""

SCALED = ("PNG", "JPEG", "WEBP", "BMP")
"""Formats that are read here; Pillow knows others, one of which starts a program to read it."""


class Embedded(NamedTuple):
    """A file as the page shows it.

    Attributes:
        url: The `data:` URL of its content; empty where the page does not hold it.
        why: Why not.
    """

    url: str
    why: str = ""


@dataclass
class Media:
    """The images and sounds of a page, and what is left of their bound.

    Attributes:
        limit: Bytes that they may take in the page.
        spent: Bytes that they take.
        left_out: How many the page does not hold.
        left_out_size: Their bytes.
    """

    limit: int
    spent: int = 0
    left_out: int = 0
    left_out_size: int = 0

    @property
    def room(self) -> int:
        """Bytes that are left."""
        return self.limit - self.spent

    def image(self, path: Path) -> Embedded:
        """Return an image, scaled down where it is large."""
        try:
            size, suffix = path.stat().st_size, path.suffix.lower()
            if size > READ:
                return self._leave_out(size, f"an image of {format_size(size)}, left out")
            data = read_file(path)
        except OSError as error:
            return Embedded("", f"its image is gone ({error.strerror})")
        kind = MEDIA_TYPES[suffix] if suffix in SHOWN else ""
        if not kind or size > SMALL:
            small = scaled(data, WIDTH)
            if small is not None and len(small) < size:
                data, kind = small, "image/webp"
        if not kind or len(data) > LARGEST:
            return self._leave_out(size, f"an image of {format_size(size)}, left out")
        if not self._spend(len(data)):
            what = f"an image of {format_size(size)}, left out for want of room"
            return self._leave_out(size, what)
        return Embedded(_data_url(kind, data))

    def sound(self, path: Path, limit: int | None = None) -> Embedded:
        """Return a sound; `limit`: the bytes that it may take in the page, by default all left."""
        try:
            size, suffix = path.stat().st_size, path.suffix.lower()
            room = self.room if limit is None else min(limit, self.room)
            if suffix == ".wav" and size > SMALL and _encoded(size) // COMPRESSION <= room:
                small = compressed(path)
                if small is not None and len(small) < size and _encoded(len(small)) <= room:
                    self._spend(len(small))
                    return Embedded(_data_url(MEDIA_TYPES[".mp3"], small))
            if suffix not in PLAYED or _encoded(size) > room or not self._spend(size):
                what = f"a sound of {format_size(size)}, left out for want of room"
                return self._leave_out(size, what)
            return Embedded(_data_url(MEDIA_TYPES[suffix], read_file(path)))
        except OSError as error:
            return Embedded("", f"its sound is gone ({error.strerror})")

    def _spend(self, size: int) -> bool:
        if _encoded(size) > self.room:
            return False
        self.spent += _encoded(size)
        return True

    def _leave_out(self, size: int, what: str) -> Embedded:
        self.left_out += 1
        self.left_out_size += size
        return Embedded("", what)


def scaled(data: bytes, width: int) -> bytes | None:
    """Return an image as WebP of at most `width` pixels in a row.

    None where it is of another format than `SCALED`, damaged, or too large to be read safely.
    """
    from PIL import Image, ImageOps

    small = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=SCALED)
            if image.width * image.height > MOST_PIXELS:
                return None
            if image.mode in ("1", "P"):  # would be scaled without grey between black and white
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            elif image.mode.startswith("I"):  # 16 bits
                image = image.point(lambda value: value / 256).convert("L")
            image.thumbnail((width, image.height))
            ImageOps.exif_transpose(image, in_place=True)
            image.save(small, "WEBP", quality=80)
    except (
        OSError, ValueError, SyntaxError, Image.DecompressionBombError,
        KeyError,  # a Pillow without WebP
    ):  # fmt: skip
        return None
    return small.getvalue()


def compressed(path: Path) -> bytes | None:
    """Return a WAV file as MP3; None where it cannot be encoded, or not here."""
    made = io.BytesIO()
    try:
        encode_wav(path, made, ".mp3")
    except (OutputError, UsageError):  # PyAV is an extra
        return None
    return made.getvalue()


def _encoded(size: int) -> int:
    """Return how many bytes so many take in Base64."""
    return 4 * ((size + 2) // 3)


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
