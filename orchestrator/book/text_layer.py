"""The text that a PDF holds for a page: whether it is sound, and its lines as blocks."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orchestrator.book.layout import Line, Page, blocks_of, rows

SCAN = 0.7
"""Of a page: images that cover as much are a scan of it, whose text another reader made."""
PICTURE = 0.15
FEWEST, FEWEST_OF_SCAN = 40, 200
"""Letters of a page with pictures, and of a scan."""
BROKEN = 0.01
"""Of the characters: those that stand for nothing."""
PLAUSIBLE, PLAUSIBLE_OF_SCAN = 0.7, 0.85
"""Of the words in Latin letters: those that have a vowel, few capitals within and no figures."""

_WORD = re.compile(r"\S+")
_PLAUSIBLE = re.compile(
    r"(?=.*[aeiouyAEIOUYÀ-ÿāēīōū])[A-ZÀ-Þ]?[a-zà-ÿāēīōū'’-]{0,24}|[A-ZÀ-Þ'’-]{1,20}"
)
_EDGES = "\"'“”‘’«»()[]{}.,;:!?…-–—*"


def problem(lines: Sequence[str], images: float) -> str:
    """Return why the text layer of a page is not to be used, or nothing.

    Args:
        lines: Its lines.
        images: Which part of the page images cover.
    """
    text = "\n".join(lines)
    letters = sum(map(str.isalpha, text))
    fewest = FEWEST_OF_SCAN if images >= SCAN else FEWEST if images > PICTURE else 1
    if letters < fewest:
        return "has few letters" if letters else "has no text"
    broken = sum(_is_broken(each) for each in text)
    if broken > BROKEN * len(text):
        return f"has {broken} characters that stand for nothing"
    words = [
        word for each in _WORD.findall(text) if (word := each.strip(_EDGES)) and word[0] < "\u0250"
    ]
    words = [word for word in words if word[0].isalpha()]
    good = sum(_PLAUSIBLE.fullmatch(word) is not None for word in words)
    least = PLAUSIBLE_OF_SCAN if images >= SCAN else PLAUSIBLE
    if len(words) > 20 and good < least * len(words):
        return f"has {len(words) - good} of {len(words)} words that are none"
    short = sum(len(word) == 1 for word in words)
    return "is spaced letter by letter" if len(words) > 20 and short > 0.5 * len(words) else ""


def _is_broken(letter: str) -> bool:
    return (
        letter == "\ufffd"
        or "\ue000" <= letter <= "\uf8ff"
        or (letter < " " and letter not in "\t\n\r")
    )


def lines_of_layer(lines: Sequence[Sequence[Any]]) -> list[Line]:
    """Return the lines of a text layer, each of text, left, top, right, bottom and size."""
    return [Line(*each) for each in lines]


def page_of_layer(number: int, lines: Sequence[Line]) -> Page:
    """Return a page of the lines of a text layer."""
    return Page(number, tuple(blocks_of(rows([line for line in lines if line.text.strip()]))))
