"""What is put into order: lines of text, and frames with lines in them."""

import statistics
from itertools import pairwise
from typing import NamedTuple

from .script import is_han

RULE = ((),)
"""The rows of a rule, which reads as nothing."""


class Box(NamedTuple):
    """A line of text as a level rectangle; `index` is its place in the caller's list.

    `stroke` is the width of the strokes of its letters in pixels, or 0: unknown. A frame is one
    with the rows that it holds, and no text; a rule holds one empty row.
    """

    index: int
    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    rows: tuple = ()
    stroke: float = 0.0

    @property
    def height(self):
        """Its height, in pixels."""
        return self.y1 - self.y0

    @property
    def width(self):
        """Its width, in pixels."""
        return self.x1 - self.x0

    @property
    def middle(self):
        """The y of its middle line."""
        return (self.y0 + self.y1) / 2

    @property
    def centre(self):
        """The x halfway between its ends."""
        return (self.x0 + self.x1) / 2

    @property
    def letter(self):
        """The mean width of its letters."""
        return self.width / max(len(self.text), 1)

    @property
    def is_vertical(self):
        """Whether it is a line of Chinese or Japanese that runs down the page."""
        return len(self.text) > 1 and self.height > 1.5 * self.width and is_han(self.text[0])


class Cell(NamedTuple):
    """A cell of a table: its lines in reading order, and how many rows and columns it covers."""

    boxes: list
    rowspan: int = 1
    colspan: int = 1


class Table(NamedTuple):
    """Rows of cells; what a cell covers of the rows below it is not among theirs, as in HTML."""

    rows: list

    def boxes(self):
        """Returns the lines of all cells."""
        return [box for row in self.rows for cell in row for box in cell.boxes]

    def grid(self):
        """Returns rows of equally many cells; None where a cell beside or above reaches."""
        width = sum(cell.colspan for cell in self.rows[0])
        grid = [[] for _ in self.rows]
        taken = set()
        for y, row in enumerate(self.rows):
            cells = iter(row)
            for x in range(width):
                cell = None if (y, x) in taken else next(cells)
                grid[y].append(cell)
                if cell:
                    taken |= {
                        (y + j, x + i) for j in range(cell.rowspan) for i in range(cell.colspan)
                    }
        return grid


def flat(rows):
    """Returns the lines in rows and tables, and in frames among them, in reading order."""
    found = []
    for row in rows:
        boxes = row.boxes() if isinstance(row, Table) else row
        for box in boxes:
            found += flat(box.rows) if box.rows else [box]
    return found


def level(one, other):
    """Whether two lines stand at one height."""
    return abs(one.middle - other.middle) < 0.25 * min(one.height, other.height)


def gaps(boxes):
    """Returns the intervals of x where no box is, the ends of the page included."""
    free, right = [], float("-inf")
    for box in sorted(boxes, key=lambda b: b.x0):
        if box.x0 > right:
            free.append((right, box.x0))
        right = max(right, box.x1)
    return [*free, (right, float("inf"))]


def shared(some, others):
    """Returns the parts of intervals that two lists have in common."""
    parts = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return [(a, b) for a, b in parts if b > a]


def bands(boxes):
    """Returns the boxes in groups from top to bottom, with white from side to side between them.

    Lines may overlap a little: tails of letters, and what is left of a skew.
    """
    groups, bottom = [], float("-inf")
    usual = statistics.median([b.height for b in boxes if not b.rows] or [0.0])
    for box in sorted(boxes, key=lambda b: b.y0):
        size = usual if box.rows == RULE else 0 if box.rows else min(box.height, box.width)
        slack = 0.25 * size
        if box.y0 + slack >= bottom:
            groups.append([])
        groups[-1].append(box)
        bottom = max(bottom, box.y1)
    return groups


def in_rows(boxes):
    """Returns the boxes as rows from top to bottom; what stands at one height is one row."""
    rows = []
    for box in sorted(boxes, key=lambda b: b.middle):
        row = rows[-1] if rows else []
        if row and all(
            abs(box.middle - b.middle) < 0.5 * min(box.height, b.height)
            and min(box.x1, b.x1) - max(box.x0, b.x0) < 0.5 * min(box.width, b.width)
            for b in row
        ):
            row.append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda b: b.x0) for row in rows]


def followers(column):
    """Returns pairs of lines that follow each other in a column without a gap."""
    lines = sorted(column, key=lambda b: b.middle)
    return [(a, b) for a, b in pairwise(lines) if b.y0 - a.y1 < min(a.height, b.height)]
