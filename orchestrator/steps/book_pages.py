"""Step `book-pages`: the pages of a book as images to be read, and the text that is in files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import book
from orchestrator.audiobook.audio_files import read_cover
from orchestrator.book import epub_reader, text_layer
from orchestrator.book.book_file import written
from orchestrator.book.page_ranges import selected, selection
from orchestrator.book.text_files import decoded
from orchestrator.core.manifest import Input
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.input_files import is_pdf
from orchestrator.steps.pdf_renderer import PROGRAM, PdfRenderer
from orchestrator.steps.step import BuiltIn, Emit, Emits, Progress, signature

LARGEST_TEXT = 64 << 20
"""Bytes of a file of text."""

TEXT = frozenset({".md", ".markdown", ".txt", ".text"})
MARKDOWN = frozenset({".md", ".markdown"})
WHOLE = TEXT | {".epub"}
"""The suffixes of files that have no pages."""
COVER_DPI = 150

SMALLER = "lower the dpi of the step pages (--set pages.dpi=N), or save the page smaller"
RULES = tuple(sorted(Path(str(book.__file__)).parent.glob("*.py")))
"""The source of what it calls, on which its result depends."""


class _Pages:
    """Takes files one after the other, and makes the parts of a document of them.

    Args:
        values: The inputs of the step.
        directory: Where images are drawn.
        renderer: Reads PDF files.
    """

    def __init__(self, values: Mapping[str, Any], directory: Path, renderer: PdfRenderer) -> None:
        try:
            self._ranges = selection(values.get("pages", ""))
        except ValueError as error:
            raise UsageError(str(error), where="pages") from error
        self._layers = values.get("text_layer", "auto") == "auto"
        self._dpi = values.get("dpi", 200)
        self._directory = directory
        self._renderer = renderer
        self._count = self._done = self._total = 0
        self.parts = 0
        self.fields: dict[str, str] = {}
        self.cover: Path | None = None

    def count(self, files: Iterable[str]) -> int:
        """Return how many pages are to come.

        Raises:
            UsageError: When a PDF cannot be read, or pages are chosen of files without any.
        """
        pages = sum(
            self._renderer.pages(path) if is_pdf(path) else path.suffix.lower() not in WHOLE
            for path in map(Path, files)
        )
        if self._ranges and not pages:
            raise UsageError("none of the files has pages", where="pages")
        self._total = sum(selected(page, self._ranges) for page in range(1, pages + 1))
        return self._total

    def take(self, path: Path, shown: str) -> Iterator[Emit | Progress]:
        """Yield the images of a file, and what it consists of."""
        suffix = path.suffix.lower()
        if is_pdf(path):
            yield from self._pdf(path, shown)
        elif suffix == ".epub":
            yield self._epub(path, shown)
        elif suffix in TEXT:
            yield from self._text(path, shown)
        else:
            self._count += 1
            if selected(self._count, self._ranges):
                yield self._one_more()
                self.cover = self.cover or path
                yield Emit("images", path, shown)
                yield self._part("image", page=self._count)

    def _pdf(self, path: Path, shown: str) -> Iterator[Emit | Progress]:
        unused: dict[str, list[int]] = {}
        blank: list[int] = []
        for page in range(1, self._renderer.pages(path) + 1):
            self._count += 1
            if not selected(self._count, self._ranges):
                continue
            target = self._directory / f"{self._count}.png"
            try:
                if self.cover is None:
                    self.cover = self._directory / "cover.png"
                    self._renderer.render(path, page, self.cover, COVER_DPI, SMALLER)
                lines = self._layer(path, page, unused) if self._layers else None
                if lines is None:
                    self._renderer.render(path, page, target, self._dpi, SMALLER)
            except UsageError as error:
                before = (
                    ""
                    if self._count == 1
                    else "1,"
                    if self._count == 2
                    else f"1-{self._count - 1},"
                )
                fix = error.fix or f"leave the page out: --pages {before}{self._count + 1}-"
                raise UsageError(error.what, where=error.where, fix=fix) from error
            yield self._one_more()
            if lines is None:
                if _is_blank(target):
                    blank.append(page)
                yield Emit("images", target, f"{shown}#page={page}")  # which takes it away
                yield self._part("image", page=self._count)
            else:
                yield self._part("layer", page=self._count, lines=lines)
        if blank:
            yield Emit("", f"{shown}: blank, or with a damaged picture: {_listed(blank)}")
        for why, pages in unused.items():
            yield Emit("", f"{shown}: the text of {_listed(pages)} {why}, and is read anew")

    def _one_more(self) -> Progress:
        self._done += 1
        return Progress(self._done, self._total)

    def _part(self, kind: str, **what: Any) -> Emit:
        self.parts += 1
        return Emit("document", {"from": kind, **what})

    def _layer(
        self, path: Path, page: int, unused: dict[str, list[int]]
    ) -> Sequence[Sequence[Any]] | None:
        """Return the text that a PDF holds for a page; None where it is not used."""
        layer = self._renderer.lines(path, page, self._directory / "layer.json")
        lines = [line[0] for line in layer.lines]
        why = text_layer.problem(lines, layer.images)
        if why and any(map(str.strip, lines)):
            unused.setdefault(why, []).append(page)
        return None if why else layer.lines

    def _epub(self, path: Path, shown: str) -> Emit:
        try:
            found = epub_reader.read_epub(path)
        except epub_reader.UnreadableEpub as error:
            fix = "take a copy without a lock" if "locked" in str(error) else ""
            raise UsageError(str(error), where=shown, fix=fix) from error
        if found.cover and self.cover is None:
            self.cover = self._directory / f"cover{found.suffix}"
            self.cover.write_bytes(found.cover)
        return self._part("markdown", text=written(found.book))

    def _text(self, path: Path, shown: str) -> Iterator[Emit]:
        if path.stat().st_size > LARGEST_TEXT:
            raise UsageError(f"has more than {LARGEST_TEXT >> 20} MiB of text", where=shown)
        try:
            text, encoding = decoded(path.read_bytes())
        except ValueError as error:
            raise UsageError(str(error), where=shown, fix="save it as UTF-8") from error
        if encoding != "utf-8":
            yield Emit("", f"{shown}: read as {encoding}")
        kind = "markdown" if path.suffix.lower() in MARKDOWN else "text"
        yield self._part(kind, text=text)


def _is_blank(path: Path) -> bool:
    """Return whether an image has one colour alone, which no scan of paper has."""
    from PIL import Image

    with Image.open(path) as image:
        darkest, lightest = image.convert("L").getextrema()
    return bool(darkest == lightest)


def _listed(pages: list[int]) -> str:
    if len(pages) == 1:
        return f"page {pages[0]}"
    return f"{len(pages)} pages (the first is {pages[0]})"


def _run(values: Mapping[str, Any], directory: Path, cancellation: Cancellation) -> Emits:
    files = values["files"]
    if "cover" in values:
        read_cover(Path(values["cover"]))  # before anything is read
    path = Path(files[0])
    name = path.parent.name if len(files) > 1 and path.suffix.lower() not in TEXT else path.stem
    with PdfRenderer(cancellation=cancellation) as renderer:
        pages = _Pages(values, directory, renderer)
        count = pages.count(files)
        yield Emit("document", {"from": "name", "text": name or path.stem, "pages": count})
        for given in files:
            yield from pages.take(Path(given), str(given))
    if not pages.parts:
        raise UsageError("none of the pages is there", where=f"pages {values.get('pages')}")
    cover = values.get("cover") or pages.cover
    if cover is not None:
        yield Emit("cover", Path(cover))


STEP = BuiltIn(
    signature(
        "book-pages",
        {
            "files": Input(
                type="file", list=True, required=True, help="PDF, images, EPUB, Markdown, text"
            ),
            "pages": Input(type="text", help="Such as 12-40 or 1-11,13-"),
            "text_layer": Input(type="choice", choices=("auto", "ignore")),
            "cover": Input(type="image", help="Instead of the first page"),
            "dpi": Input(type="integer", minimum=36, maximum=600, help="Pixels per inch"),
        },
        images="[image]",
        document="[json]",
        cover="image",
    ),
    _run,
    packages=("markdown-it-py", "pypdfium2", "pillow"),
    programs=(PROGRAM, *RULES),
    named=True,
)
