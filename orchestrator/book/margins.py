"""Numbers in the margin, of lines or paragraphs: known by their place and by how they rise."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import TypeVar

import msgspec

from orchestrator.book.contents import is_contents_title
from orchestrator.book.layout import Line

NEAR, AHEAD = 4, 1
"""Pages before a page, and behind it, whose numbers say what its own are."""
STEPS = (10, 5)
"""Lines are numbered by tens, by fives, or each."""
OVERLAP = 0.5
"""Ems by which a number may reach into the text beside it: boxes are drawn with a border."""
SMALLER = 0.85
"""Times the height of the text: numbers of paragraphs are set smaller than this."""
MOST_STEPS = 4
"""From one number to the next that was read."""
STEADY = 0.75
"""Of the steps: those that rise as they should."""

T = TypeVar("T")

_NUMBER = re.compile(r"\d{1,4}")
_LETTER = re.compile(r"[^\W\d_]")


class Number(msgspec.Struct, frozen=True):
    """A number beside a line of text.

    Attributes:
        index: Of the line that it is.
        value: What it says.
        left: Its left edge.
        right: Its right edge.
        after: Whether the text is on its left.
        em: The size of the text.
        height: Times the height of the text.
        row: How many lines of text of the page are above it.
    """

    index: int
    value: int
    left: float
    right: float
    after: bool
    em: float
    height: float
    row: int


def numbers_beside(lines: Sequence[Line]) -> list[Number]:
    """Return the numbers of a page that stand beside its text, from the top."""
    texts = [line for line in lines if _LETTER.search(line.text) and line.size]
    if any(is_contents_title(line.text) for line in texts[:4]):
        return []
    found = []
    for index, line in enumerate(lines):
        if not _NUMBER.fullmatch(line.text.strip()):
            continue
        beside = [
            other
            for other in texts
            if abs(other.middle - line.middle) < 0.6 * (other.bottom - other.top)
            and _gap(line, other) > -OVERLAP * other.size
        ]
        if not beside:
            continue
        other = min(beside, key=lambda each: _gap(line, each))
        em, high = other.size, other.bottom - other.top
        if any(
            abs(each.middle - line.middle) < 3 * high and _gap(line, each) < -OVERLAP * em
            for each in texts
        ):
            continue
        row = sum(each.middle < line.middle - 0.6 * high for each in texts)
        after, height = line.left > other.left, (line.bottom - line.top) / high
        value = int(line.text)
        found.append(Number(index, value, line.left, line.right, after, em, height, row))
    return sorted(found, key=lambda each: (each.row, each.left))


def margin_numbers(mine: Sequence[Number], near: Iterable[Sequence[Number]]) -> frozenset[int]:
    """Return which lines of a page are numbers of its lines or paragraphs, by index.

    Args:
        mine: The numbers beside its text.
        near: Those of the pages around it, and of itself.
    """
    found: set[int] = set()
    others = [each for page in near for each in page]
    for column in _columns(mine):
        alike = [each for each in others if each.after == column[0].after]
        few = len(column) < 3 and all(each.value % STEPS[-1] == 0 for each in column)
        fives = sum(each.value % STEPS[-1] == 0 for each in alike)
        if _is_counted(column) or (few and fives >= max(3, STEADY * len(alike))):
            found.update(each.index for each in column)
    return frozenset(found)


def with_margins(
    pages: Iterable[tuple[T, Sequence[Line]]],
) -> Iterator[tuple[T, frozenset[int]]]:
    """Yield pages, each with which of its lines are numbers in the margin."""
    window: list[tuple[T, Sequence[Number]]] = []
    at, source = 0, iter(pages)
    while True:
        for page, lines in islice(source, AHEAD + 1 + at - len(window)):
            window.append((page, numbers_beside(lines)))
        if at == len(window):
            return
        page, mine = window[at]
        yield page, margin_numbers(mine, [numbers for _, numbers in window])
        at += 1
        if at > NEAR:
            del window[0]
            at -= 1


def _columns(numbers: Iterable[Number]) -> Iterator[list[Number]]:
    """Yield the numbers that stand below each other on one side of the text."""
    columns: list[list[Number]] = []
    for each in numbers:
        for column in columns:
            last = column[-1]
            apart = min(abs(each.left - last.left), abs(each.right - last.right))
            if each.after == last.after and apart < each.em:
                column.append(each)
                break
        else:
            columns.append([each])
    yield from columns


def _is_counted(column: Sequence[Number]) -> bool:
    """Whether numbers that stand below each other count the lines or paragraphs beside them."""
    for step in STEPS:
        if sum(each.value % step == 0 for each in column) >= max(2, 0.8 * len(column)):
            return _rise(column, step)
    steps = [below.value - above.value for above, below in pairwise(column)]
    rows = [below.row - above.row for above, below in pairwise(column)]
    if len(steps) > 1 and sum(map(int.__eq__, steps, rows)) >= STEADY * len(steps):
        return _rise(column, 1)  # every line has one
    small = statistics.median(each.height for each in column) <= SMALLER
    consecutive = len(steps) == 1 and steps[0] == 1
    return small and (consecutive or (len(steps) > 1 and _rise(column, 1)))


def _rise(column: Sequence[Number], step: int) -> bool:
    """Whether numbers rise by steps, or begin anew."""
    good = sum(
        0 < below.value - above.value <= MOST_STEPS * step or below.value == step
        for above, below in pairwise(column)
    )
    return good >= STEADY * (len(column) - 1)


def _gap(one: Line, other: Line) -> float:
    """Return how far two lines are apart from side to side; negative where they overlap."""
    return max(one.left, other.left) - min(one.right, other.right)
