"""The process that reads PDF files for `pdf_renderer`: a program, under limits of its own.

Its argument holds its settings as JSON: `path` (where to import from), `parent` (the process whose
end is its own), `memory` (bytes that it may take) and `pixels` (the most of a page). A line of its
standard input is a request: `document`, and of one page also `page` and `target`, and to have it
drawn `dpi` and `smaller` (what to do about too many pixels). A line of its output is the answer:
`pages`, or `refused` and `fix`, or `page` for one that is drawn or whose text is written. With
`places`, the text is written as JSON, each line with its box.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import pypdfium2

POINTS_PER_INCH = 72

OUT_OF_MEMORY = 77
"""The exit status of one that needed more memory than it may have."""

ROOM = 2 << 30
"""Bytes of addresses beyond the limit of memory. PDFium asks for no more at once, and leaves out in
silence what it gets no memory for; with this room it passes the limit first."""

SMALL = 0.85
"""Figures smaller than this part of the letter before them, and above its line, refer to a note."""

INTERVAL = 0.02
"""Seconds between two looks at the memory; it grows by less than 0.1 GB in that time."""


class Reader:
    """Answers requests; the last document stays open.

    Args:
        pixels: The most that a page may have.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._path = ""
        self._document: pypdfium2.PdfDocument | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        import pypdfium2

        what = "is no PDF that can be read"
        try:
            document = self._open(request["document"])
            if "page" not in request:
                return {"pages": len(document)}
            what = "cannot be drawn" if "dpi" in request else "its text cannot be read"
            return self._read_page(document, request)
        except (pypdfium2.PdfiumError, OSError, ValueError) as error:
            if "assword" in str(error):
                return _refused("is locked with a password", "save a copy without a password")
            return _refused(f"{what} ({getattr(error, 'strerror', None) or error})")

    def _open(self, path: str) -> pypdfium2.PdfDocument:
        import pypdfium2

        if self._document is None or path != self._path:
            if self._document is not None:
                self._document.close()
                self._document = None
            self._document, self._path = pypdfium2.PdfDocument(path), path
        return self._document

    def _read_page(
        self, document: pypdfium2.PdfDocument, request: dict[str, Any]
    ) -> dict[str, Any]:
        number = request["page"]
        if not 1 <= number <= len(document):
            return _refused(f"there is no such page; the last one is {len(document)}")
        page = document[number - 1]
        try:
            if "dpi" in request:
                return self._draw(page, request)
            if request.get("places"):
                return self._write_lines(page, request)
            text = page.get_textpage().get_text_range(errors="ignore")
            Path(request["target"]).write_text(text, encoding="utf-8", errors="ignore", newline="")
            return {"page": number}
        finally:
            page.close()

    def _draw(self, page: pypdfium2.PdfPage, request: dict[str, Any]) -> dict[str, Any]:
        """Draw a page, annotations included, on white, and write it as PNG."""
        dpi = request["dpi"]
        scale = dpi / POINTS_PER_INCH
        if not math.prod(max(1, side * scale) for side in page.get_size()) <= self._pixels:
            return _refused(
                f"at {dpi} dpi it has more than {self._pixels // 1_000_000} megapixels",
                request["smaller"],
            )
        bitmap = page.render(scale=scale)
        bitmap.to_pil().save(request["target"], "PNG", compress_level=1)
        bitmap.close()
        return {"page": request["page"]}

    def _write_lines(self, page: pypdfium2.PdfPage, request: dict[str, Any]) -> dict[str, Any]:
        """Write the lines of a page's text layer, and how much of the page images cover, as JSON.

        A line is [text, left, top, right, bottom, size of its letters] in points from the top left.
        """
        import pypdfium2.raw as pdfium

        width, height = page.get_size()
        covered = 0.0
        for each in page.get_objects([pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=4):
            left, bottom, right, top = each.get_bounds()
            across = min(right, width) - max(left, 0)
            covered += max(0, across) * max(0, min(top, height) - max(bottom, 0))
        layer = page.get_textpage()
        lines = [
            [text, left, height - top, right, height - bottom, size]
            for text, left, bottom, right, top, size in _lines(layer)
        ]
        found = {"images": covered / (width * height), "lines": lines}
        Path(request["target"]).write_text(json.dumps(found), encoding="ascii")
        layer.close()
        return {"page": request["page"]}


def _lines(layer: pypdfium2.PdfTextPage) -> Iterator[tuple[str, float, float, float, float, float]]:
    """Yield the lines of a text layer as it orders them: text, box and size of letters."""
    import pypdfium2.raw as pdfium

    text: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []
    sizes: list[float] = []
    usual, base = 0.0, 0.0
    for index in range(count := layer.count_chars()):
        letter = chr(pdfium.FPDFText_GetUnicode(layer, index))
        hyphen = letter in "\x02\ufffe"  # how PDFium writes the one at the end of a line
        if letter.strip() and letter.isprintable():
            boxes.append(layer.get_charbox(index, loose=True))
            size, y = _size_and_place(layer, index)
            sizes.append(size)
            if size < SMALL * usual and y > base + 0.15 * usual and letter in "0123456789":
                letter = "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(letter)]
            else:
                usual, base = size, y
        if letter not in "\r\n":
            text.append("-" if hyphen else letter)
        if boxes and (hyphen or letter in "\r\n" or index == count - 1):
            lefts, bottoms, rights, tops = zip(*boxes, strict=True)
            size = sorted(sizes)[len(sizes) // 2]
            words = "".join(text).strip().encode("utf-16", "surrogatepass")
            line = words.decode("utf-16", "replace")
            yield line, min(lefts), min(bottoms), max(rights), max(tops), size
        if hyphen or letter in "\r\n":
            text, boxes, sizes = [], [], []


def _size_and_place(layer: pypdfium2.PdfTextPage, index: int) -> tuple[float, float]:
    """Return the size of a letter, and the y of the line that it stands on."""
    import ctypes

    import pypdfium2.raw as pdfium

    matrix, x, y = pdfium.FS_MATRIX(), ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetMatrix(layer, index, matrix)
    pdfium.FPDFText_GetCharOrigin(layer, index, x, y)
    scale = math.hypot(matrix.c, matrix.d)
    return pdfium.FPDFText_GetFontSize(layer, index) * scale, y.value


def _refused(what: str, fix: str = "") -> dict[str, Any]:
    return {"refused": what, "fix": fix}


def resident_memory(statm: str = "/proc/self/statm") -> int:
    """Return the bytes that this process has in memory, or had at most where only that is known."""
    try:
        return int(Path(statm).read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak  # getrusage(2) of each system


def _watch(parent: int, memory: int) -> NoReturn:
    """End this process when it takes too much memory, or is left alone."""
    while os.getppid() == parent:
        if resident_memory() > memory:
            os._exit(OUT_OF_MEMORY)
        time.sleep(INTERVAL)
    os._exit(1)


def _limit(what: int, most: int) -> None:
    """Set a limit of this process, where the system has it (macOS has none of addresses)."""
    _, hard = resource.getrlimit(what)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(
            what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


def main(settings: dict[str, Any]) -> None:
    """Answer requests until there are no more."""
    sys.path[:] = settings["path"]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, in the middle of a page as well
    _limit(resource.RLIMIT_AS, settings["memory"] + ROOM)
    _limit(resource.RLIMIT_CORE, 0)
    watch = threading.Thread(
        target=_watch, args=(settings["parent"], settings["memory"]), daemon=True
    )
    watch.start()
    # What a library in C prints is no answer.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        reader = Reader(settings["pixels"])
        for line in sys.stdin:
            try:
                answer = reader.answer(json.loads(line))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
