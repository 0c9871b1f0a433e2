"""A book of the parts of a document: pages that were read, and files of text."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from orchestrator.book.book_file import FIELDS, parsed
from orchestrator.book.boxes import lines_of, page_of_boxes
from orchestrator.book.content import Book, Element
from orchestrator.book.layout import Line, Page, page_of_markdown
from orchestrator.book.margins import with_margins
from orchestrator.book.text import BookText
from orchestrator.book.text_files import book_of_text
from orchestrator.book.text_layer import lines_of_layer, page_of_layer

PAGE = ("image", "layer")
"""The parts that are pages."""


class Readings(msgspec.Struct, frozen=True):
    """What was read on the images of a document, in their order; None where a reader gives none.

    Attributes:
        texts: The pages as Markdown or text.
        markdowns: The pages as Markdown, with their tables.
        boxes: Their lines with places.
    """

    texts: Iterable[str | None] = ()
    markdowns: Iterable[str | None] = ()
    boxes: Iterable[Sequence[Mapping[str, Any]] | None] = ()


class _Reading(msgspec.Struct, frozen=True):
    """What was read of a page; of a layer, its lines alone."""

    number: int
    lines: Sequence[Line]
    text: str | None = None
    markdown: str = ""
    boxes: Sequence[Mapping[str, Any]] | None = None

    def page(self, margin: Container[int]) -> Page:
        """Return the page, without the lines of `margin`."""
        if self.text is None:
            kept = [line for at, line in enumerate(self.lines) if at not in margin]
            return page_of_layer(self.number, kept)
        if self.boxes is not None:
            return page_of_boxes(self.number, self.boxes, self.markdown, margin)
        return page_of_markdown(self.number, self.text)


class BookReader:
    """The book that a document holds, as its parts come in.

    Args:
        document: What the step `book-pages` returns, part by part.
        readings: What was read on its images.
    """

    def __init__(self, document: Iterable[Mapping[str, Any]], readings: Readings) -> None:
        self._document = document
        self._texts, self._markdowns = iter(readings.texts), iter(readings.markdowns)
        self._boxes = iter(readings.boxes)
        self._fields: dict[str, str] = {}
        self._elements: list[Element] = []

    def elements(self) -> Iterator[Element]:
        """Yield the elements in order; headings on pages may have no level yet."""
        for is_page, parts in groupby(self._document, key=lambda part: part["from"] in PAGE):
            first = len(self._elements)
            if is_page:
                text = BookText(self._pages(parts))
                for element in text:
                    self._elements.append(element)
                    yield element
                self._elements[first:] = text.levelled(self._elements[first:])
                continue
            for part in parts:
                yield from self._taken(part)

    @property
    def language(self) -> str:
        """What the files of text that came so far say of their language; it may be anything."""
        return self._fields.get("language", "")

    def book(self) -> Book:
        """Return the book, once it has yielded all elements."""
        return Book(**self._fields, elements=tuple(self._elements))

    def _pages(self, parts: Iterable[Mapping[str, Any]]) -> Iterator[Page]:
        """Yield pages without the numbers in their margins."""
        for reading, margin in with_margins((each, each.lines) for each in map(self._read, parts)):
            yield reading.page(margin)

    def _read(self, part: Mapping[str, Any]) -> _Reading:
        if part["from"] == "layer":
            return _Reading(part["page"], lines_of_layer(part["lines"]))
        text, markdown = next(self._texts, None), next(self._markdowns, None)
        boxes = next(self._boxes, None)
        if boxes is not None and not all("text" in each and "polygon" in each for each in boxes):
            boxes = None  # they are the regions of a page without their text
        lines = lines_of(boxes or ())
        return _Reading(part["page"], lines, text or "", markdown or "", boxes)

    def _taken(self, part: Mapping[str, Any]) -> Sequence[Element]:
        """Take a name or a file of text; return its elements."""
        if part["from"] == "name":
            self._fields.setdefault("title", part["text"])
            return ()
        more = (book_of_text if part["from"] == "text" else parsed)(part["text"])
        fields = {name: getattr(more, name) for name in FIELDS}
        self._fields.update({name: value for name, value in fields.items() if value})
        self._elements += more.elements
        return more.elements
