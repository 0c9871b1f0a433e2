"""Pages of contents: left out of the text, their titles say what a chapter is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from orchestrator.book.headings import page_number
from orchestrator.book.layout import Block, Line, Page, rows

LEAST = 3
"""Entries of a page of contents."""
PART = 0.6
"""Of the lines of such a page: entries."""
ALIKE = 0.85

_TITLE = re.compile(
    r"\W*(?:(?:table of )?contents|目\s*[录錄次]|inhalt(?:sverzeichnis)?"
    r"|table des matières|sommaire|índice|indice)\W*",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"(.*?\w.*?)[\s.·…⋯。・_,-]+(\d{1,4}|[ivxlc]{1,7})\W*", re.IGNORECASE)


def is_contents_title(text: str) -> bool:
    """Return whether a line heads a page of contents."""
    return _TITLE.fullmatch(text) is not None


def titles_on(page: Page, *, follows: bool) -> list[str]:
    """Return the titles on a page of contents; nothing where it is none.

    Args:
        page: The page.
        follows: Whether the page before is one of contents, which may go on.
    """
    blocks = page.blocks
    titled = any(is_contents_title(block.text) for block in blocks[:2])
    if not (titled or follows):
        return []
    lines = [line for block in blocks for line in _entry_lines(block)]
    lines = [line for line in lines if not is_contents_title(line.text)]
    entries = [match for line in lines if (match := _ENTRY.fullmatch(line.text))]
    numbers = [value for each in entries if (value := page_number(each[2])) is not None]
    rising = sum(a <= b for a, b in pairwise(numbers)) >= 0.8 * (len(numbers) - 1)
    least = 1 if titled else LEAST
    if len(entries) < least or len(entries) < PART * len(lines) or not rising:
        return []
    return [each[1].strip(" .·…⋯。_-") for each in entries]


def _entry_lines(block: Block) -> list[Line]:
    """Return the lines of a block; a table's are its rows."""
    if block.role == "table" and block.markdown:
        texts = block.text.split("\n")
        cells = [" ".join(row.strip("|").split("|")).strip() for row in texts]
        return [Line(text) for text in cells if text.strip("- :")]
    return rows(block.lines) if block.lines[0].size else list(block.lines)


def listed(text: str, titles: Sequence[str]) -> bool:
    """Return whether a heading is one of the titles, read twice and perhaps not in the same way."""
    folded = _folded(text)
    return bool(folded) and any(
        folded == each or (len(folded) > 3 and SequenceMatcher(None, folded, each).ratio() >= ALIKE)
        for each in map(_folded, titles)
    )


def _folded(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
