"""How far a book differs from its truth: by words, and by its headings."""
# ruff: noqa: RUF001 - apostrophes

import re
from difflib import SequenceMatcher

from orchestrator.book.passages import Rules, plan
from orchestrator.steps.plain_text import plain_text


def words(text):
    """Return the words of a text; each Chinese letter is one."""
    return re.findall(
        r"[\u2e80-\u9fff]|[^\W\u2e80-\u9fff]+(?:[-'’][^\W\u2e80-\u9fff]+)*", text.lower()
    )


def spoken(book, **rules):
    """Return the words that are spoken of a book."""
    _, texts = plan(book, Rules(**rules), plain_text)
    return words(" ".join(texts))


def error(found, truth):
    """Return the words that are wrong, missing or too many, as a part of the truth."""
    changes = SequenceMatcher(None, found, truth, autojunk=False).get_opcodes()
    wrong = (max(b - a, d - c) for kind, a, b, c, d in changes if kind != "equal")
    return sum(wrong) / max(1, len(truth))


def headings(book):
    """Return the headings of a book with their levels."""
    return [(each.level, each.text) for each in book.elements if each.kind == "heading"]


def lines_of_verse(book):
    """Return the stanzas of a book, each as the words of its lines."""
    stanzas = (each.text.split("\\\n") for each in book.elements if each.kind == "paragraph")
    return [tuple(" ".join(words(line)) for line in some) for some in stanzas if len(some) > 1]
