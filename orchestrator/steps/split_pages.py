"""Step `split-pages`: the pages of PDF files as images, one at a time; images pass as they are."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.manifest import Input
from orchestrator.errors import UsageError
from orchestrator.steps.step import BuiltIn, Emit, signature

if TYPE_CHECKING:
    import pypdfium2

POINTS_PER_INCH = 72
MAX_PIXELS = 100_000_000
"""The largest page; 100 megapixels take 300 MB while they are drawn."""

LIBRARY = threading.Lock()
"""PDFium may not be called from two threads at once."""


def is_pdf(path: Path) -> bool:
    """Return whether the file begins as a PDF does (within the first KiB, as readers accept)."""
    with path.open("rb") as stream:
        return b"%PDF-" in stream.read(1024)


def pages_of(path: Path) -> int:
    """Return how many pages a PDF has.

    Raises:
        UsageError: When it cannot be read.
    """
    with _opened(path) as document:
        return len(document)


def render_page(path: Path, page: int, target: Path, dpi: int = 200) -> None:
    """Draw a page of a PDF, annotations included, on white, and write it to `target` as PNG.

    Args:
        path: The PDF.
        page: Its number, counted from 1.
        target: The PNG file.
        dpi: Pixels per inch.

    Raises:
        UsageError: When the file cannot be read, has no such page, or the page is too large.
    """
    with _opened(path) as document, LIBRARY:
        _render(document, path, page, target, dpi)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pypdfium2.PdfDocument]:
    import pypdfium2

    try:
        with LIBRARY:
            document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = "assword" in str(error)
        raise UsageError(
            "is locked with a password" if locked else f"is no PDF that can be read ({error})",
            where=str(path),
            fix="save a copy without a password" if locked else "",
        ) from error
    try:
        yield document
    finally:
        with LIBRARY:
            document.close()


def _render(
    document: pypdfium2.PdfDocument, path: Path, number: int, target: Path, dpi: int
) -> None:
    import pypdfium2

    if not 1 <= number <= len(document):
        raise UsageError(f"has {len(document)} pages, and no page {number}", where=str(path))
    where = f"{path}#page={number}"
    scale = dpi / POINTS_PER_INCH
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError as error:
        raise UsageError(f"cannot be read ({error})", where=where) from error
    try:
        width, height = page.get_size()
        if width * height * scale * scale > MAX_PIXELS:
            raise UsageError(
                f"at {dpi} dpi it has more than {MAX_PIXELS // 1_000_000} megapixels",
                where=where,
                fix="choose a lower dpi",
            )
        bitmap = page.render(scale=scale)
        bitmap.to_pil().save(target, "PNG", compress_level=1)
        bitmap.close()
    except pypdfium2.PdfiumError as error:
        raise UsageError(f"cannot be drawn ({error})", where=where) from error
    finally:
        page.close()


def _run(values: Mapping[str, Any], directory: Path) -> Iterator[Emit]:
    dpi = values.get("dpi", 200)
    for count, given in enumerate(values["files"]):
        path = Path(given)
        if not is_pdf(path):
            yield Emit("images", path, str(given))
            continue
        with _opened(path) as document:
            for number in range(1, len(document) + 1):
                target = directory / f"{count}-{number}.png"
                with LIBRARY:
                    _render(document, path, number, target, dpi)
                yield Emit("images", target, f"{given}#page={number}")


STEP = BuiltIn(
    signature(
        "split-pages",
        {
            "files": Input(type="file", list=True, required=True, help="PDF files and images"),
            "dpi": Input(type="integer", minimum=36, maximum=600, help="Pixels per inch"),
        },
        images="[image]",
    ),
    _run,
    packages=("pypdfium2", "pillow"),
    named=True,
)
