"""Whole books, of what a reader made of their pages, against what was set."""

import json
from pathlib import Path

import pytest

from orchestrator.book.book_file import parsed, written
from orchestrator.book.layout import page_of_markdown
from orchestrator.book.pages import Readings, book_of
from orchestrator.book.text import elements_of
from tests.books.layouts import BOOKS
from tests.books.score import error, headings, spoken

RECORDED = Path(__file__).parents[2] / "books" / "recorded"


def read(name):
    stored = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    pages = list(map(json.loads, stored.splitlines()))
    parts = [{"from": "image", "page": number} for number in range(1, len(pages) + 1)]
    readings = Readings(
        markdowns=[page["markdown"] for page in pages], boxes=[page["boxes"] for page in pages]
    )
    return book_of(parts, readings)


@pytest.mark.parametrize("name", sorted(BOOKS))
def test_a_book_is_as_it_was_set(name):
    book, truth = read(name), BOOKS[name][0]
    assert headings(book) == headings(truth)
    for rules in ({}, {"footnotes": "inline", "tables": True}):
        assert error(spoken(book, **rules), spoken(truth, **rules)) <= 0.02
    assert parsed(written(book)) == book


@pytest.mark.parametrize("name", ["chinese", "columns", "english", "gaps", "pocket"])
def test_paragraphs_go_on_over_lines_columns_and_pages(name):
    found, truth = (
        [each.kind for each in book.elements if each.kind != "footnote"]
        for book in (read(name), BOOKS[name][0])
    )
    assert found == truth


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
