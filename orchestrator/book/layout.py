"""A page as blocks of lines with their places."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from orchestrator.book.book_file import parsed
from orchestrator.book.content import Element
from orchestrator.book.headings import is_numbered

ITEM = re.compile(
    r"\s*(?:(?:[•·●○◦▪■–—*-]|\d{1,3}[.)])\s+|(?:\(?[a-z]{1,3}\)|[(（]\d{1,3}[)）])\s*)(?=\S)"
)
"""How an item of a list begins, or a numbered paragraph."""
CLOSING = "\"'”’»«)]」』"
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

    @property
    def step(self) -> float:
        """The usual distance of two lines; 0 where it is not known."""
        steps = [
            below.middle - above.middle
            for block in self.blocks
            for above, below in pairwise(block.lines)
            if above.size and below.middle > above.middle
        ]
        return statistics.median(steps) if steps else 0.0


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
                max(last.bottom, line.bottom), max(last, line, key=lambda one: len(one.text)).size,
            )  # fmt: skip
        else:
            found.append(line)
    return found


def blocks_of(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield the blocks of lines in their order: a change of size, place or indent begins one."""
    usual = statistics.median([line.size for line in lines for _ in line.text] or [1.0])
    some: list[Line] = []
    steps = [below.middle - above.middle for above, below in pairwise(lines)]
    step = statistics.median([each for each in steps if each > 0] or [0.0])
    for line in lines:
        if some and _begins(some, line, step):
            yield _placed(some, usual)
            some = []
        some.append(line)
    if some:
        yield _placed(some, usual)


def _begins(some: Sequence[Line], line: Line, usual: float) -> bool:
    last = some[-1]
    step = line.middle - last.middle
    if step <= 0 or max(line.size, last.size) > 1.1 * min(line.size, last.size):
        return True
    if ITEM.match(line.text) and step > 1.1 * usual:
        return True
    usual = some[1].middle - some[0].middle if len(some) > 1 else min(usual, 1.75 * line.size)
    if step > max(1.25 * usual, 1.2 * line.size):
        return True
    left = min(each.left for each in some[1:] or some)
    return line.left > left + 0.6 * line.size and last.left <= left + 0.6 * line.size


def _placed(lines: Sequence[Line], usual: float) -> Block:
    text = " ".join(line.text for line in lines)
    large = (
        lines[0].size > 1.12 * usual
        and len(lines) <= 3
        and text.rstrip(CLOSING)[-1:] not in ".,;。，；"
    )
    heading = large or (len(lines) == 1 and is_numbered(text))
    return Block("heading" if heading else "paragraph", tuple(lines))
