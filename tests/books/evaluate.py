"""Prints how far the recorded books are from their truth: `python -m tests.books.evaluate [BOOK]`.

With `--each` it prints what differs as well. Nothing is asserted.
"""

import json
import sys
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from orchestrator.book.pages import Readings
from tests.books.layouts import BOOKS, HELD_OUT, UNSEEN
from tests.books.score import error, headings, lines_of_verse, spoken
from tests.books.whole import book_of

RECORDED = Path(__file__).with_name("recorded")


@cache
def read(name):
    """Return the book that the rules make of what was read of a drawn one."""
    stored = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    pages = list(map(json.loads, stored.splitlines()))
    parts = [{"from": "image", "page": number} for number in range(1, len(pages) + 1)]
    readings = Readings(
        markdowns=[page["markdown"] for page in pages], boxes=[page["boxes"] for page in pages]
    )
    return book_of(parts, readings)


def kinds(book):
    """Return the kinds of its elements, without footnotes: these may stand elsewhere.

    A paragraph with a number in brackets may as well be an item.
    """
    elements = (each for each in book.elements if each.kind != "footnote")
    return ["paragraph" if each.text.startswith("(") else each.kind for each in elements]


def differences(found, truth):
    """Yield what was found, and what there is, where two lists differ."""
    for kind, a, b, c, d in SequenceMatcher(None, found, truth, autojunk=False).get_opcodes():
        if kind != "equal":
            yield found[a:b], truth[c:d]


def main(*arguments):
    """Print a row for each book."""
    books = BOOKS | HELD_OUT | UNSEEN
    for name in [each for each in arguments if each != "--each"] or books:
        found, truth = read(name), books[name][0]
        everything = {"footnotes": "inline", "tables": True}
        rates = [error(spoken(found, **r), spoken(truth, **r)) for r in ({}, everything)]
        exact = [of(found) == of(truth) for of in (headings, kinds, lines_of_verse)]
        print(f"{name:18}", *(f"{100 * rate:6.1f} %" for rate in rates),
              *(f"{what} {'exact' if yes else 'WRONG'}" for what, yes
                in zip(("headings", "kinds", "verse"), exact, strict=True)))  # fmt: skip
        if "--each" in arguments:
            for of in (spoken, headings, kinds, lines_of_verse):
                for one, other in differences(of(found), of(truth)):
                    print("   ", of.__name__, one, "for", other)


if __name__ == "__main__":
    main(*sys.argv[1:])
