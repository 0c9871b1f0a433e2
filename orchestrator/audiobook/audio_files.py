"""Files of a book: its sound with chapters, tags and a cover, each format in its own way."""

from __future__ import annotations

import base64
import io
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.audiobook.book import SpokenBook
from orchestrator.audiobook.book_plan import Part
from orchestrator.core.units import format_clock
from orchestrator.errors import UsageError
from orchestrator.jobs.sound_encoder import FORMATS, Format, SoundEncoder

BOOKS = {
    # The fast coder takes a fifth of the time, and is worse below 64 kbit/s alone.
    "m4b": Format("mp4", "aac", 64_000, {"brand": "M4B "}, {"aac_coder": "fast"}),
    "mp3": FORMATS[".mp3"],
    "opus": FORMATS[".opus"],
    "flac": FORMATS[".flac"],
    "wav": Format("wav", "pcm_s16le", 0, {"rf64": "auto"}),  # RF64 where it is larger than 4 GiB
}
"""By the name of the format, which is the suffix as well. WAV has neither chapters nor a cover."""

COMMENTED = ("opus", "flac")
"""Formats whose chapters are comments (`CHAPTER001=00:01:30.500`, `CHAPTER001NAME=…`); FFmpeg
writes none for FLAC, and rounds the seconds of those for Opus."""

BIT_RATES = (16_000, 320_000)
"""Bits a second, at least and at most."""

IMAGES = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
WIDEST = 1_400
"""Pixels of a cover in a row or a column; larger ones are scaled."""


class Cover(NamedTuple):
    """An image of a book as JPEG."""

    data: bytes
    width: int
    height: int


def read_cover(path: Path) -> Cover:
    """Return an image as a cover.

    Raises:
        UsageError: When it cannot be read, or is too large to be read safely.
    """
    from PIL import Image

    made = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # 89 megapixels
            with Image.open(path, formats=IMAGES) as image:
                image.draft("RGB", (WIDEST, WIDEST))
                small = image.convert("RGB")
        small.thumbnail((WIDEST, WIDEST))
        small.save(made, "JPEG", quality=88)
    except (
        OSError, ValueError, SyntaxError,
        Image.DecompressionBombWarning, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise UsageError(f"cannot be a cover ({error})", where=str(path)) from error
    return Cover(made.getvalue(), *small.size)


@dataclass(frozen=True)
class BookFile:
    """How one file is written.

    Attributes:
        format: A key of `BOOKS`.
        tags: What it says of itself, in FFmpeg's words.
        cover: Its image.
        bit_rate: Bits a second; None for the format's own.
    """

    format: str
    tags: Mapping[str, str]
    cover: Cover | None = None
    bit_rate: int | None = None

    def write(
        self, target: Path, book: SpokenBook, first: int, end: int, marks: Sequence[Part]
    ) -> Iterator[int]:
        """Write the passages `first` up to `end` of a book, and yield the index behind each.

        Args:
            target: The file.
            book: The book.
            first: The index of a passage.
            end: The index after the last one.
            marks: Its chapters.
        """
        form = BOOKS[self.format]
        if self.bit_rate and form.bit_rate:
            form = form._replace(bit_rate=self.bit_rate, tuning={})
        chapters = [
            {
                "id": number,
                "start": book.start(part.first, first),
                "end": book.start(part.end, first),
                "time_base": Fraction(1, book.rate),
                "metadata": {"title": part.title},
            }
            for number, part in enumerate(marks)
        ]

        def prepare(container: Any) -> Iterable[Any]:
            return self._prepare(container, chapters)

        with target.open("wb") as stream:
            suffix = f".{self.format}"
            encoder = SoundEncoder(stream, suffix, book.rate, 1, form=form, prepare=prepare)
            with closing(encoder):
                for index in range(first, end):
                    for samples in book.samples(index, index + 1):
                        encoder.feed(samples)
                    yield index + 1

    def _prepare(self, container: Any, chapters: list[dict[str, Any]]) -> Iterable[Any]:
        tags = {name: value for name, value in self.tags.items() if value}
        if self.format in COMMENTED:
            for each in chapters:
                name = f"CHAPTER{each['id']:03}"
                tags |= {name: format_clock(round(1000 * each["start"] * each["time_base"]))}
                tags |= {f"{name}NAME": each["metadata"]["title"]}
        elif self.format != "wav":
            container.set_chapters(chapters)
        packets = []
        if self.cover is not None and self.format == "opus":
            tags["METADATA_BLOCK_PICTURE"] = base64.b64encode(_picture(self.cover)).decode()
        elif self.cover is not None and self.format != "wav":
            packets.append(_attached(container, self.cover))
        container.metadata.update(tags)
        return packets


def _attached(container: Any, cover: Cover) -> Any:
    import av

    stream = container.add_mux_stream("mjpeg", width=cover.width, height=cover.height)
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(cover.data)
    packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
    packet.time_base = Fraction(1, 90_000)
    return packet


def _picture(cover: Cover) -> bytes:
    """Return a cover as FLAC's block PICTURE (RFC 9639, 8.8): the front cover, in 24 bits."""
    kind = b"image/jpeg"
    head = struct.pack(">II", 3, len(kind)) + kind + bytes(4)
    size = struct.pack(">5I", cover.width, cover.height, 24, 0, len(cover.data))
    return head + size + cover.data
