"""Files of text: their encoding by trial, their paragraphs as a book."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from orchestrator.book.content import Book, Element, escaped
from orchestrator.book.headings import is_numbered
from orchestrator.book.verse import is_stanza

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_COMMON = re.compile("[的一是不了在人有我他这這们們来來上个個到说說和地你中大为為就]")
LONGEST_HEADING = 60


def decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file and its encoding: UTF-8, GB18030 or Big5, by trial.

    Of the last two the one wins in which more of the letters are common ones.

    Raises:
        ValueError: When it is in none of them.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name), name.removesuffix("-sig")
    if b"\0" in data:
        raise ValueError("holds zero bytes, and is no text")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    found = []
    for name in ("gb18030", "big5hkscs"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        found.append((len(_COMMON.findall(text)), text, name))
    if not found:
        raise ValueError("is in no encoding that is known (UTF-8, GB18030, Big5)")
    _, text, name = max(found, key=lambda each: each[0])
    return text, name


def book_of_text(text: str) -> Book:
    """Return the book that plain text holds.

    Paragraphs are parted by empty lines; where there are none, or lines are longer than a screen,
    each line is one. A short line that is numbered as a chapter is a heading, and verse keeps its
    lines.
    """
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return Book(elements=tuple(_elements(lines)))


def _elements(lines: list[str]) -> Iterator[Element]:
    filled = sorted(len(line) for line in lines if line)
    # The lines of a text that is wrapped at a width are about as long as each other.
    wrapped = bool(filled) and "" in lines and filled[-1] <= 100
    parts: list[str] = []
    for line in [*lines, ""]:
        heading = len(line) <= LONGEST_HEADING and is_numbered(line)
        if (not line or heading or not wrapped) and parts:
            text = escaped("\n".join(parts))
            kept = text if is_stanza(parts) else text.replace("\\\n", "\n")
            yield Element("paragraph", kept)
            parts = []
        if heading:
            yield Element("heading", escaped(line), 1)
        elif line:
            parts.append(line)
