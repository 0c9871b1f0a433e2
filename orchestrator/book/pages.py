"""A book of the parts of a document: pages that were read, and files of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from orchestrator.book.book_file import FIELDS, parsed
from orchestrator.book.content import Book, Element
from orchestrator.book.layout import Page, page_of_boxes, page_of_markdown
from orchestrator.book.text import elements_of
from orchestrator.book.text_files import book_of_text
from orchestrator.book.text_layer import page_of_layer

PAGE = ("image", "layer")
"""The parts that are pages."""


class Readings(msgspec.Struct, frozen=True):
    """What was read on the images of a document, in their order.

    Attributes:
        texts: The pages as Markdown or text.
        markdowns: The pages as Markdown, with their tables; empty where the reader gives none.
        boxes: Their lines with places; empty where the reader gives none.
    """

    texts: Sequence[str] = ()
    markdowns: Sequence[str] = ()
    boxes: Sequence[Sequence[Mapping[str, Any]]] = ()

    def page(self, number: int, index: int) -> Page:
        """Return a page: the number it gets, of the image at `index`."""
        # Boxes without text are the regions of a page, and its Markdown says more.
        if self.boxes and all("text" in each and "polygon" in each for each in self.boxes[index]):
            markdown = self.markdowns[index] if self.markdowns else ""
            return page_of_boxes(number, self.boxes[index], markdown)
        return page_of_markdown(number, self.texts[index])


def book_of(document: Mapping[str, Any], readings: Readings) -> Book:
    """Return the book that a document holds.

    Args:
        document: What the step `book-pages` returns.
        readings: What was read on its images.
    """
    fields = {"title": document["name"], **document.get("fields", {})}
    elements: list[Element] = []
    images = 0
    for is_page, parts in groupby(document["parts"], key=lambda part: part["from"] in PAGE):
        if is_page:
            some = list(parts)
            elements += elements_of(list(_pages(some, readings, images)))
            images += sum(part["from"] == "image" for part in some)
            continue
        for part in parts:
            take = book_of_text if part["from"] == "text" else parsed
            more = take(part["text"])
            fields.update({name: getattr(more, name) for name in FIELDS if getattr(more, name)})
            elements += more.elements
    return Book(**fields, elements=tuple(elements))


def _pages(parts: Sequence[Mapping[str, Any]], readings: Readings, images: int) -> Iterator[Page]:
    for part in parts:
        if part["from"] == "image":
            yield readings.page(part["page"], images)
            images += 1
        else:
            yield page_of_layer(part["page"], part["lines"])
