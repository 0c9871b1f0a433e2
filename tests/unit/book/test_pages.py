"""Whole books, of what a reader made of their pages, against what was set."""

from dataclasses import replace

import pytest

from orchestrator.book.book_file import parsed, written
from orchestrator.book.content import Book
from orchestrator.book.layout import page_of_markdown
from orchestrator.book.running import AHEAD
from orchestrator.book.text import BookText
from orchestrator.book.text_layer import lines_of_layer, page_of_layer
from tests.books.evaluate import kinds, read
from tests.books.layouts import BOOKS, HELD_OUT, OUT_OF_ORDER
from tests.books.score import error, headings, lines_of_verse, spoken
from tests.books.texts import english
from tests.books.typeset import BUILT_IN, lines, typeset
from tests.books.whole import elements_of

ALL = BOOKS | HELD_OUT
NAMES = sorted(ALL.keys() - OUT_OF_ORDER)


def squeezed(book):
    return [(level, text.replace(" ", "")) for level, text in headings(book)]


@pytest.mark.parametrize("name", NAMES)
def test_a_book_is_as_it_was_set(name):
    book, truth = read(name), ALL[name][0]
    assert squeezed(book) == squeezed(truth)
    everything = {"footnotes": "inline", "tables": True}
    for rules in ({}, everything) if name in BOOKS else ({},):
        assert error(spoken(book, **rules), spoken(truth, **rules)) <= 0.02
    assert parsed(written(book)) == book


@pytest.mark.parametrize("name", [name for name in NAMES if name != "textbook-worn"])
def test_paragraphs_go_on_over_lines_columns_and_pages(name):
    assert kinds(read(name)) == kinds(ALL[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_verse_alone_is_kept_as_lines(name):
    assert lines_of_verse(read(name)) == lines_of_verse(ALL[name][0])


def test_a_long_book_is_decided_page_by_page():
    layout = replace(BOOKS["pocket"][1], fonts=BUILT_IN)
    truth = english(4, 8, notes=False, table=False)
    sheets = typeset(truth, layout)
    taken = []

    def pages():
        for number, sheet in enumerate(sheets, start=1):
            taken.append(number)
            yield page_of_layer(number, lines_of_layer(lines(sheet, layout)))

    text = BookText(pages())
    elements, known = [], []
    for element in text:
        elements.append(element)
        known.append(len(taken) - element.page)
    assert len(sheets) > 2 * AHEAD
    assert max(known) <= AHEAD + 2  # of a paragraph that ends on the page behind, or goes on there
    assert headings(Book(elements=tuple(text.levelled(elements)))) == headings(truth)
    wrong = [a.text for a, b in zip(elements, truth.elements, strict=True) if a.text != b.text]
    assert len(wrong) <= 1


MARKDOWN = (
    "The Harbour\n\n# Chapter 1\n\n# The Arrival\n\nIt was a long arrange-\nment of the\n\n12",
    "The Harbour\n\nwhole board. It ended.\n\n- a rope\n- a lamp\n\n13",
    "The Harbour\n\n# Chapter 2. On\n\n## A section\n\nThe arrangement stood.\n\n14",
)


def test_a_reader_that_gives_markdown_alone_is_enough():
    pages = [page_of_markdown(k, text) for k, text in enumerate(MARKDOWN, start=12)]
    assert [(each.kind, each.level, each.text, each.page) for each in elements_of(pages)] == [
        ("heading", 1, "Chapter 1. The Arrival", 12),
        ("paragraph", 0, "It was a long arrangement of the whole board. It ended.", 12),
        ("list", 0, "a rope", 13),
        ("list", 0, "a lamp", 13),
        ("heading", 1, "Chapter 2. On", 14),
        ("heading", 2, "A section", 14),
        ("paragraph", 0, "The arrangement stood.", 14),
    ]
