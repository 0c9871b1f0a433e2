"""A page as blocks of lines: of what a reader says, or of lines with their places."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from orchestrator.book.book_file import parsed
from orchestrator.book.content import Element

SHORT = 4
"""Letters of a line whose length says little of their size."""
NARROW = " ijlft.,:;'’!|I()[]-"


RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Line(msgspec.Struct, frozen=True):
    """A line and its box, in pixels or points from the top left; `size` is that of its letters.

    Where a reader gives no places, `top` is the number of the line and `size` is 0.
    """

    text: str
    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 0.0
    size: float = 0.0

    @property
    def middle(self) -> float:
        """The y halfway between top and bottom."""
        return (self.top + self.bottom) / 2


class Block(msgspec.Struct, frozen=True):
    """What stands together on a page.

    Attributes:
        role: The kind of an element, or "page-number".
        lines: Its lines, from the top.
        markdown: Whether the lines are Markdown; else they are plain text.
        level: Of a heading, as the reader says; 0 where it does not.
        mark: Of an item or a footnote that the reader has found.
    """

    role: str
    lines: tuple[Line, ...]
    markdown: bool = False
    level: int = 0
    mark: str = ""

    @property
    def text(self) -> str:
        """Its lines, with a space between."""
        return " ".join(line.text for line in self.lines)

    @property
    def size(self) -> float:
        """The median size of its lines."""
        return statistics.median(line.size for line in self.lines)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        lines = self.lines
        return (
            min(line.left for line in lines), min(line.top for line in lines),
            max(line.right for line in lines), max(line.bottom for line in lines),
        )  # fmt: skip


class Page(msgspec.Struct, frozen=True):
    """A page: its number, counted from 1, and its blocks in reading order."""

    number: int
    blocks: tuple[Block, ...]

    @property
    def lines(self) -> list[Line]:
        """All its lines, in reading order."""
        return [line for block in self.blocks for line in block.lines]


def page_of_boxes(number: int, boxes: Sequence[Mapping[str, Any]], markdown: str) -> Page:
    """Return a page of the outputs `boxes` and `markdown` of a reader."""
    tables = iter(each for each in parsed(markdown).elements if each.kind == "table")
    blocks = []
    lines_of = _with_marks([_line(box) for box in boxes])
    for (_, role), some in groupby(
        range(len(boxes)), lambda k: (boxes[k].get("block"), boxes[k].get("role"))
    ):
        lines = rows([lines_of[k] for k in some if lines_of[k].text])
        if not lines:
            continue
        table = next(tables, None) if role == "table" else None
        if table is not None:
            blocks.append(
                Block("table", (msgspec.structs.replace(lines[0], text=table.text),), markdown=True)
            )
        else:
            blocks.append(Block(str(role or "paragraph"), tuple(lines)))
    return Page(number, tuple(blocks))


def page_of_markdown(number: int, text: str) -> Page:
    """Return a page of which a reader gives no places."""
    elements = parsed(text).elements
    return Page(number, tuple(_block(top, each) for top, each in enumerate(elements)))


def _block(top: int, element: Element) -> Block:
    lines = [element.text]
    if element.kind == "paragraph":
        lines = re.split(r"(?<!\\)\n", element.text)
    placed = tuple(Line(each, top=float(top), bottom=top + 1.0) for each in lines)
    return Block(element.kind, placed, markdown=True, level=element.level, mark=element.mark)


def _with_marks(lines: list[Line]) -> list[Line]:
    """Return lines with the marks of notes at their ends, which a reader may find apart.

    What was moved is left as an empty line.
    """
    found = list(lines)
    for k, mark in enumerate(lines):
        if len(mark.text) > 2 or not mark.text.isdigit():
            continue
        for other, line in enumerate(lines):
            near = abs(mark.left - line.right) < 0.7 * line.size
            raised = line.top - 0.4 * line.size < mark.middle < line.middle
            small = mark.bottom - mark.top < 0.8 * (line.bottom - line.top)
            if other != k and near and raised and small:
                text = found[other].text + mark.text.translate(RAISED)
                found[other] = msgspec.structs.replace(found[other], text=text)
                found[k] = msgspec.structs.replace(mark, text="")
                break
    return found


def _line(box: Mapping[str, Any]) -> Line:
    across, down = zip(*box["polygon"], strict=True)
    left, top, right, bottom = min(across), min(down), max(across), max(down)
    text = box["text"]
    size = 0.8 * min(bottom - top, right - left)  # of a vertical line, its width
    if len(text) >= SHORT:
        # How long a line is says more of its letters than how high: that depends on which they are.
        size = max(bottom - top, right - left) / sum(map(_advance, text))
    return Line(text, left, top, right, bottom, size)


def _advance(letter: str) -> float:
    """Return the usual width of a letter, in ems."""
    if letter >= "\u2e80":
        return 1.0
    if letter in NARROW:
        return 0.28
    if letter in "mwMW@%—":
        return 0.85
    return 0.67 if letter.isupper() else 0.5


def rows(lines: Sequence[Line]) -> list[Line]:
    """Return lines with those joined that stand side by side at one height."""
    found: list[Line] = []
    for line in lines:
        last = found[-1] if found else None
        upright = line.right - line.left >= line.size
        if last and upright and abs(line.middle - last.middle) < 0.4 * min(line.size, last.size):
            gap = "" if line.left - last.right < 0.12 * line.size else " "
            found[-1] = Line(
                last.text + gap + line.text, last.left, min(last.top, line.top), line.right,
                max(last.bottom, line.bottom), max(last.size, line.size),
            )  # fmt: skip
        else:
            found.append(line)
    return found
