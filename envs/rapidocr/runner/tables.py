"""Tables: their rows and cells, out of columns or of ruled frames."""

import math
import statistics
from itertools import pairwise

from .boxes import Cell, Table, flat, in_rows, level
from .columns import are_beside, are_notes, is_numeric, paragraphs
from .frames import THICK
from .text import cell_text

BOLD = 1.2
"""Bold strokes are wider than others by this."""


def tables_of_columns(columns):
    """Returns the tables that stand in columns, and the rows that are none of theirs.

    A title within a table parts it. The lines of a wrapped cell stay together.
    """
    rows = [
        [[b for n, b in row if n == number] for number in range(len(columns))]
        for row in rows_of(columns)
    ]
    if are_notes(columns):
        return loose(rows)
    usual = statistics.median(b.stroke for column in columns for b in column)
    titles = [
        k
        for k, row in enumerate(rows)
        for boxes in [[b for cell in row for b in cell]]
        if len(boxes) == 1 and boxes[0].stroke > BOLD * usual
    ]
    ends = [*titles, len(rows)]
    found = []
    for start, end in zip([0, *titles], ends, strict=True):
        found += table_of_rows(rows[start:end])
    return found


def table_of_rows(rows):
    """Returns rows as a table, and those above and below it that hold a single cell."""
    full = [k for k, row in enumerate(rows) if sum(map(bool, row)) > 1]
    if not full:
        return loose(rows)
    first, last = full[0], full[-1] + 1
    table = Table([[Cell(flat(in_rows(cell))) for cell in row] for row in rows[first:last]])
    return [*loose(rows[:first]), table, *loose(rows[last:])]


def loose(rows):
    """Returns the lines of cells that are no table."""
    return [line for row in rows for cell in row for line in in_rows(cell)]


def rows_of(columns):
    """Returns rows of pairs of a column's number and a box.

    Rows begin where the column with the fewest lines has one; further lines in other columns
    belong to the row above when they are closer to it than rows are to each other, or, where cells
    are centred, to the nearest row.
    """
    numbered = [(n, box) for n, column in enumerate(columns) for box in column]
    boxes = [box for _, box in numbered]
    if are_beside(columns):
        heads = zip(*map(paragraphs, columns), strict=True)
        tops = [*(min(b.y0 for b in row) for row in heads), math.inf]
        return [[pair for pair in numbered if y0 <= pair[1].y0 < y1] for y0, y1 in pairwise(tops)]
    starts = sorted(min(columns, key=len), key=lambda b: b.middle)
    steps = [b.middle - a.middle for a, b in pairwise(starts)]
    if len(starts) < 2 or len({len(column) for column in columns}) == 1:
        return [[pair for pair in numbered if pair[1] in row] for row in in_rows(boxes)]
    centred = not any(level(a, b) for a in starts for b in boxes if a is not b)
    rows = [[] for _ in starts]
    above = []
    for number, column in enumerate(columns):
        last = None
        for box in sorted(column, key=lambda b: b.middle):
            nearest = min(range(len(starts)), key=lambda i: abs(starts[i].middle - box.middle))
            if centred or level(box, starts[nearest]):
                row = rows[nearest]
            elif last and box.middle - last[0].middle < 0.93 * min(steps):
                row = last[1]
            else:
                row = next((r for r in above if any(level(box, b) for _, b in r)), [])
                if not row:
                    above.append(row)
            row.append((number, box))
            last = box, row
    return sorted((row for row in [*rows, *above] if row), key=lambda r: min(b.y0 for _, b in r))


def table_of_frames(cells):
    """Returns the table whose ruled cells are pairs of a frame and boxes, or None: it is none."""
    xs, ys = starts(frame[0] for frame, _ in cells), starts(frame[1] for frame, _ in cells)
    if len(xs) < 2 or (len(ys) < 2 and any(len(in_rows(boxes)) > 1 for _, boxes in cells)):
        return None
    xs = [x for x in xs if any(boxes and abs(f[0] - x) <= THICK for f, boxes in cells)]
    placed, taken = {}, set()
    for (x0, y0, x1, y1), boxes in cells:
        columns = [i for i, x in enumerate(xs) if x0 - THICK <= x < x1 - THICK]
        rows = [i for i, y in enumerate(ys) if y0 - THICK <= y < y1 - THICK]
        places = {(r, c) for r in rows for c in columns}
        if places and not places & taken:
            placed[min(places)] = Cell(boxes, len(rows), len(columns))
            taken |= places
    if sum(len(cell.boxes) for cell in placed.values()) < sum(len(boxes) for _, boxes in cells):
        return None  # frames that cross each other
    rows = [
        [
            placed.get((r, c), Cell([]))
            for c in range(len(xs))
            if (r, c) in placed or (r, c) not in taken
        ]
        for r in range(len(ys))
    ]
    return Table(rows)


def starts(values):
    """Returns values in order; of those no farther apart than a rule is thick, the first."""
    found = []
    for value in sorted(values):
        if not found or value > found[-1] + THICK:
            found.append(value)
    return found


def as_json(table, lines, block):
    """Returns a table as JSON values; a box is that of a cell's lines, in pixels of the image."""
    rows = [
        [
            {"text": cell_text(cell.boxes), "box": bounds([lines[b.index] for b in cell.boxes])}
            | {k: v for k in ("rowspan", "colspan") if (v := getattr(cell, k)) > 1}
            for cell in row
        ]
        for row in table.rows
    ]
    box = bounds([lines[b.index] for b in flat([table])])
    return {"block": block, "box": box, "head": has_head(table), "rows": rows}


def bounds(lines):
    """Returns x0, y0, x1, y1 around lines, or None where there are none."""
    corners = [corner for line in lines for corner in line["polygon"]]
    xs, ys = zip(*corners, strict=True) if corners else ((), ())
    return [min(xs), min(ys), max(xs), max(ys)] if corners else None


def has_head(table):
    """Whether the first row names columns: in bold, or one of them holds numbers below it."""
    strokes = [[b.stroke for cell in row for b in cell.boxes] for row in table.rows]
    if (
        len(strokes) > 1
        and strokes[0]
        and min(strokes[0]) > BOLD * max(map(max, filter(None, strokes[1:])), default=0)
    ):
        return True
    texts = [[cell_text(cell.boxes) if cell else "" for cell in row] for row in table.grid()]
    if len(texts) < 2 or any(map(is_numeric, texts[0])):
        return False
    below = ([text for text in column if text] for column in zip(*texts[1:], strict=True))
    return any(column and 2 * sum(map(is_numeric, column)) > len(column) for column in below)
