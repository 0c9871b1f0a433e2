"""The order in which the lines of a page are read: pure functions over boxes."""

import math
import statistics
from typing import NamedTuple

COLUMN_LINES = 3
"""Fewer lines than this make no column."""


class Box(NamedTuple):
    """A line of text as a level rectangle; `index` is its place in the caller's list."""

    index: int
    x0: float
    y0: float
    x1: float
    y1: float
    text: str

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


def arrange(boxes):
    """Returns the rows of a page in the order in which a person reads them.

    Columns of prose are read one after the other; everything else (a receipt, a table, a form)
    row by row. What is as wide as the page (a heading) stands before, between or after columns.

    Returns:
        A list of rows, each a list of boxes from left to right.
    """
    for gutter in gutters(boxes):
        crossing = sorted((b for b in boxes if b.x0 < gutter < b.x1), key=lambda b: b.middle)
        ends = [b.middle for b in crossing] + [math.inf]
        rows, pending, began = [], [], -math.inf
        for number, end in enumerate(ends):
            between = [b for b in boxes if began <= b.middle < end and b not in crossing]
            left = [b for b in between if b.x1 <= gutter]
            right = [b for b in between if b.x0 >= gutter]
            if are_columns(left, right):
                rows += [*in_rows(pending), *arrange(left), *arrange(right)]
                pending = []
            else:
                pending += between
            pending += crossing[number : number + 1]
            began = end
        if rows:
            return rows + in_rows(pending)
    return in_rows(boxes)


def gutters(boxes):
    """Returns the x of upright white strips with lines on both sides, the most telling first."""
    if len(boxes) < 2 * COLUMN_LINES:
        return []
    gap = 0.4 * statistics.median(b.height for b in boxes)
    found = {}
    for edge in {b.x1 for b in boxes}:
        left = [b for b in boxes if b.x1 <= edge]
        right = [b for b in boxes if b.x0 >= edge + gap]
        crossing = len(boxes) - len(left) - len(right)
        fewer = min(len(left), len(right))
        if fewer >= COLUMN_LINES and (len(left), len(right)) not in found:
            found[len(left), len(right)] = (fewer - crossing, edge + gap / 2)
    return [x for _, x in sorted(found.values(), reverse=True)]


def are_columns(left, right):
    """Whether two groups of lines, side by side, are columns and not halves of table rows."""
    if min(len(left), len(right)) < COLUMN_LINES or not (is_wordy(left) and is_wordy(right)):
        return False
    few, many = sorted((left, right), key=len)
    beside = [
        min(abs(a.middle - b.middle) / min(a.height, b.height) for b in touching)
        for a in few
        if (touching := [b for b in many if min(a.y1, b.y1) > max(a.y0, b.y0)])
    ]
    if 2 * len(beside) < len(few):
        return False
    level = sum(offset < 0.25 for offset in beside) / len(beside)
    return level < 0.6 or (is_prose(left) and is_prose(right))


def is_wordy(boxes):
    """Whether letters prevail, as they do not in a column of prices."""
    text = "".join(b.text for b in boxes if b.text).replace(" ", "")
    return 2 * sum(c.isalpha() for c in text) > len(text)


def is_prose(boxes):
    """Whether lines are long, and most of them about as long as the longest: set in a column."""
    widths = sorted(b.width for b in boxes)
    full = widths[int(0.9 * (len(widths) - 1))]
    long_enough = statistics.median(widths) > 8 * statistics.median(b.height for b in boxes)
    return long_enough and 2 * sum(w > 0.7 * full for w in widths) > len(widths)


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
