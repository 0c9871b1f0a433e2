"""Images scaled down for a page, by PDFium: it reads PNG's and JPEG's own data inside a PDF.

No image library is needed for it: a PDF of one page is put around the compressed data as they are
(ISO 32000-1, 7.4.4 and 7.4.8), and PDFium draws that page as small as it is wanted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.steps.split_pages import LIBRARY, MAX_PIXELS, png

if TYPE_CHECKING:
    from pathlib import Path

_GREYS = bytes(round(round(value / 17) * 17) for value in range(256))
"""Sixteen greys; a page of text looks the same in them and takes a third of the space."""

_COLOURS = {0: ("/DeviceGray", 1), 2: ("/DeviceRGB", 3), 3: ("", 1)}
"""Colour space and channels by PNG's colour type; those with alpha (4, 6) no PDF holds so."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Beginnings of JPEG frames that PDF's DCTDecode takes."""


class _Picture(NamedTuple):
    """An image as a PDF holds it: its form as a PDF dictionary's entries, and its data."""

    width: int
    height: int
    form: str
    data: bytes


def scaled(path: Path, width: int) -> bytes | None:
    """Return the image at `path` as a PNG of at most `width` pixels in a row.

    None where it is of a kind that is not read here, damaged, or larger than `MAX_PIXELS`.

    Raises:
        OSError: When it cannot be read.
    """
    data = path.read_bytes()
    try:
        picture = _png(data) if data.startswith(b"\x89PNG\r\n\x1a\n") else _jpeg(data)
    except (struct.error, IndexError, ValueError):
        return None
    if picture is None or not 0 < picture.width * picture.height <= MAX_PIXELS:
        return None
    return _drawn(picture, width)


def _drawn(picture: _Picture, width: int) -> bytes | None:
    import pypdfium2

    try:
        with LIBRARY:
            document = pypdfium2.PdfDocument(_pdf(picture))
            try:
                page = document[0]
                bitmap = page.render(scale=min(1.0, width / picture.width), rev_byteorder=True)
                pixels = bytes(memoryview(bitmap.buffer).cast("B"))
                size = bitmap.width, bitmap.height
                channels, stride = bitmap.n_channels, bitmap.stride
                bitmap.close()
                page.close()
            finally:
                document.close()
    except pypdfium2.PdfiumError:
        return None
    red, green, blue = (
        pixels[colour::channels] for colour in (0, min(1, channels - 1), min(2, channels - 1))
    )
    if stride == size[0] * channels and red == green == blue:
        return png(memoryview(red.translate(_GREYS)), *size, 1, size[0], level=9)
    return png(memoryview(pixels), *size, channels, stride, level=9)


def _pdf(picture: _Picture) -> bytes:
    """Return a PDF of one page that is the picture, a point for each pixel."""
    size = f"{picture.width} 0 0 {picture.height} 0 0"
    drawing = f"q {size} cm /I Do Q".encode()
    box = f"[0 0 {picture.width} {picture.height}]"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox{box}/Resources<</XObject<</I 4 0 R>>>>"
        "/Contents 5 0 R>>".encode(),
        f"<</Type/XObject/Subtype/Image/Width {picture.width}/Height {picture.height}"
        f"{picture.form}/Length {len(picture.data)}>>stream\n".encode()
        + picture.data
        + b"\nendstream",
        f"<</Length {len(drawing)}>>stream\n".encode() + drawing + b"\nendstream",
    ]
    file, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(file))
        file += f"{number} 0 obj".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(file)}\n%%EOF\n"
    return bytes(file) + end.encode()


def _png(data: bytes) -> _Picture | None:
    chunks = list(_chunks(data))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if interlaced or colour not in _COLOURS:
        return None
    space, channels = _COLOURS[colour]
    if colour == 3:
        palette = next(body for kind, body in chunks if kind == b"PLTE")
        space = f"[/Indexed/DeviceRGB {len(palette) // 3 - 1}<{palette.hex()}>]"
    form = (
        f"/ColorSpace {space}/BitsPerComponent {depth}/Filter/FlateDecode"
        f"/DecodeParms<</Predictor 15/Colors {channels}/BitsPerComponent {depth}/Columns {width}>>"
    )
    return _Picture(width, height, form, b"".join(body for kind, body in chunks if kind == b"IDAT"))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def _jpeg(data: bytes) -> _Picture | None:
    if not data.startswith(b"\xff\xd8"):
        return None
    place = 2
    while data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _FRAMES:
            depth, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            space = {1: "/DeviceGray", 3: "/DeviceRGB"}.get(channels)
            if depth != 8 or space is None:
                return None
            form = f"/ColorSpace {space}/BitsPerComponent 8/Filter/DCTDecode"
            return _Picture(width, height, form, data)
        place += 2 + length
    return None
