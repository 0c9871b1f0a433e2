"""Cuts lines that are several cells of a table."""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

ALIGNED = 2
"""So many other lines begin, or end, where a part of a line does that is a cell of its own."""


class Gap(NamedTuple):
    """White within a line, from x0 to x1; what stands behind it ends at `end`."""

    index: int
    x0: float
    x1: float
    end: float
    cut: tuple


def parted(lines, boxes, turn):
    """Returns the lines, those that reach over the white between two columns in parts.

    The reader may take what stands close together in two cells for one line. It is cut where its
    ink has a wide gap, and at least two others begin at, or end with, what stands behind the gap,
    unless it is one of a justified column.

    Args:
        lines: As `read_lines` returns them.
        boxes: The same as level boxes.
        turn: Degrees by which the page is turned clockwise to be read.
    """
    gaps = [gap for line, box in zip(lines, boxes, strict=True) for gap in gaps_of(line, box)]
    edges = [(b.index, b.x0, b.x1) for b in boxes] + [(g.index, g.x1, g.end) for g in gaps]
    solid = [box for line, box in zip(lines, boxes, strict=True) if not line.get("gaps")]
    cuts = defaultdict(list)
    for gap in gaps:
        slack = 0.4 * boxes[gap.index].height
        others = {
            index
            for index, x0, x1 in edges
            if x0 > gap.x0 - slack and min(abs(x0 - gap.x1), abs(x1 - gap.end)) < slack
        }
        if len(others - {gap.index}) >= ALIGNED and not is_justified(boxes[gap.index], solid):
            cuts[gap.index].append(gap.cut)
    return [part for i, line in enumerate(lines) for part in pieces(line, cuts[i], turn)]


def is_justified(box, solid):
    """Whether lines without gaps begin and end where a line does: its words are set apart."""
    slack = 0.4 * box.height
    alike = (abs(b.x0 - box.x0) < slack and abs(b.x1 - box.x1) < slack for b in solid)
    return sum(alike) >= ALIGNED


def gaps_of(line, box):
    """Returns the wide gaps of a line on the level page."""
    left, right = line.get("overshoot", (0, 0))
    width = box.width / (1 - left - right)
    start = box.x0 - left * width
    cuts = line.get("gaps", ())
    ends = [*(x0 for x0, _, _ in cuts[1:]), 1 - right]
    return [
        Gap(box.index, *(start + width * x for x in (cut[0], cut[1], end)), cut)
        for cut, end in zip(cuts, ends, strict=False)
    ]


def pieces(line, cuts, turn):
    """Returns a line in the parts between its cuts."""
    if not cuts:
        return [line]
    left, right = line.get("overshoot", (0, 0))
    letters = [k for k, letter in enumerate(line["text"]) if not letter.isspace()]
    first = turn // 90 % 4  # corner of the polygon at which the line begins on the turned page
    a, b, c, d = (line["polygon"][(k - first) % 4] for k in range(4))
    kept = {name: line[name] for name in ("score", "stroke") if name in line}
    found = []
    for (_, x0, start), (x1, _, end) in pairwise(
        [(0, left, 0), *cuts, (1 - right, 1, len(letters))]
    ):
        corners = [between(a, b, x0), between(a, b, x1), between(d, c, x1), between(d, c, x0)]
        text = line["text"][letters[start] : letters[end - 1] + 1]
        polygon = [corners[(k + first) % 4] for k in range(4)]
        found.append({"polygon": polygon, "text": text, **kept})
    return found


def between(start, end, part):
    """Returns the point at a part of the way between two others."""
    return [round(a + (b - a) * part, 1) for a, b in zip(start, end, strict=True)]
