"""What a book consists of, once it is read: elements in order, with the page on which each begins.

The text of an element is Markdown, so that a book can be written as a file and parsed again.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Kind = Literal["heading", "paragraph", "list", "table", "caption", "formula", "code", "footnote"]

_SPECIAL = re.compile(
    r"[\\`*$]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?|])|&(?=#?\w+;)|\](?=[(\[:])|\[(?=\^)|~(?=~)|#(?=#*$)"
)
_BEGIN = re.compile(r"^(\d{0,9})([>|]|(?:[#+=-]|(?<=\d)[.)])(?!\w))")


class Element(msgspec.Struct, frozen=True):
    """A part of a book.

    Attributes:
        kind: What it is.
        text: Markdown, without what marks the kind: `#` of a heading, `-` of an item.
        level: Of a heading, from 1.
        mark: Of an item its number or bullet (`3.`, `-`), of a footnote its name.
        page: The page on which it begins, counted from 1; None where there are no pages.
    """

    kind: Kind
    text: str
    level: int = 0
    mark: str = ""
    page: int | None = None


class Book(msgspec.Struct, frozen=True):
    """A book; `language` is a BCP 47 tag, and what is not known is empty."""

    title: str = ""
    author: str = ""
    language: str = ""
    elements: tuple[Element, ...] = ()


def escaped(text: str) -> str:
    """Return plain text as Markdown that stands for the same."""
    lines = (_BEGIN.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", line)) for line in text.split("\n"))
    return "\\\n".join(lines)
