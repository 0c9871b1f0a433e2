"""A book of the parts of a document: pages that were read, and files of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from orchestrator.book.book_file import FIELDS, parsed
from orchestrator.book.content import Book, Element
from orchestrator.book.layout import Page, page_of_boxes, page_of_markdown
from orchestrator.book.text import Text
from orchestrator.book.text_files import book_of_text
from orchestrator.book.text_layer import page_of_layer

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
                text = Text(map(self._page, parts))
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

    def _page(self, part: Mapping[str, Any]) -> Page:
        number = part["page"]
        if part["from"] == "layer":
            return page_of_layer(number, part["lines"])
        text, markdown = next(self._texts, None), next(self._markdowns, None)
        boxes = next(self._boxes, None)
        # Boxes without text are the regions of a page, and its Markdown says more.
        if boxes is not None and all("text" in each and "polygon" in each for each in boxes):
            return page_of_boxes(number, boxes, markdown or "")
        return page_of_markdown(number, text or "")

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


def book_of(document: Iterable[Mapping[str, Any]], readings: Readings) -> Book:
    """Return the book that a document holds, at once."""
    reader = BookReader(document, readings)
    for _ in reader.elements():
        pass
    return reader.book()
