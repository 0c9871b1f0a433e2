"""Books taken at once: what the product decides page by page, for tests that look at the whole."""

from orchestrator.book.pages import BookReader
from orchestrator.book.text import BookText


def book_of(document, readings):
    """Return the book that a document holds."""
    reader = BookReader(document, readings)
    for _ in reader.elements():
        pass
    return reader.book()


def elements_of(pages):
    """Return the elements of consecutive pages."""
    text = BookText(pages)
    return list(text.levelled(list(text)))
