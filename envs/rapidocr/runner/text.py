"""The text of ordered lines."""

import statistics
from itertools import pairwise

from .boxes import Table
from .script import joined


def compose(pieces):
    """Returns the text of rows and tables, a row on a line; cells are apart by a tab.

    A clear space between rows becomes an empty line.
    """
    rows = [row for piece in pieces for row in lines_of(piece)]
    middles = [statistics.fmean(b.middle for b in boxes) for boxes, _ in rows]
    steps = [below - above for above, below in pairwise(middles) if below > above]
    usual = statistics.median(steps) if steps else 0.0
    lines = []
    for number, (boxes, text) in enumerate(rows):
        if number:
            space = min(b.y0 for b in boxes) - max(b.y1 for b in rows[number - 1][0])
            step = middles[number] - middles[number - 1]
            if step > 1.4 * usual and space > 0.5 * min(b.height for b in boxes):
                lines.append("")
        lines.append(text)
    return "\n".join(lines)


def lines_of(piece):
    """Returns the boxes and the text of a row, or of each row of a table."""
    if not isinstance(piece, Table):
        return [(piece, row_text(piece))]
    rows = ([cell.boxes if cell else [] for cell in row] for row in piece.grid())
    return [
        ([box for boxes in row for box in boxes], "\t".join(map(cell_text, row)))
        for row in rows
        if any(row)
    ]


def row_text(row):
    """Returns the text of boxes beside each other."""
    line = row[0].text
    for before, box in pairwise(row):
        near = box.x0 - before.x1 < box.height
        line = joined(line, box.text) if near else f"{line} {box.text}"
    return line


def cell_text(boxes):
    """Returns the text of the lines of a cell as one."""
    text = ""
    for box in boxes:
        text = joined(text, box.text)
    return text
