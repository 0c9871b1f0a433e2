"""The order in which the lines of a page are read: pure functions over boxes.

docs/reading.md has the rules, and where they come from.
"""

import math
import re
import statistics
from itertools import pairwise

from .boxes import RULE, Box, Table, bands, flat, gaps, in_rows, shared
from .columns import CAPTION, evidence
from .frames import THICK, grids
from .tables import table_of_frames, tables_of_columns

GUTTER = 0.1
"""Heights of a line: the narrowest white strip between columns; boxes are wider than their ink."""
HEADING = 1.18
"""A line that stands alone, and is higher than the usual one by this, is a heading."""
LARGE = 1.3
"""Its letters, where they are wider than usual by this, make it one too."""
APART = 2.5
"""Heights of a line: parts with this much white between them do not share columns."""
FURIGANA = 0.72
"""Of the width of a vertical line: the width of furigana beside it, at most."""
KANA = re.compile("[\u3040-\u30ff]+")
DECIDED = 1.0
"""Evidence for columns or rows that is smaller than this leaves the order open."""


class Choice:
    """Whether what stands side by side is read by columns or by rows, and how often that is open.

    Args:
        layout: "columns", "rows", or "auto": by the evidence.
    """

    def __init__(self, layout="auto"):
        self.layout = layout
        self.open = 0

    def of_rows(self, columns):
        """Whether columns are those of a table, and are read row by row."""
        if self.layout != "auto":
            return self.layout == "rows"
        for_columns = evidence(columns)
        self.open += abs(for_columns) < DECIDED
        return for_columns < 0


def arrange(boxes, frames=(), rules=(), choice=None):
    """Returns the rows of a page in the order in which a person reads them.

    What a frame holds stays together. Columns are read one after the other, a table row by row. A
    line of vertical text is a row; these follow each other from right to left, without furigana.

    Args:
        boxes: The lines.
        frames: Rectangles that are drawn on the page: x0, y0, x1, y1.
        rules: Single rules that run across the page, in the same form.
        choice: What decides between columns and rows.

    Returns:
        A list of rows, each a list of boxes from left to right, and of tables.
    """
    choice = choice or Choice()
    upright = [b for b in boxes if b.is_vertical]
    boxes = [b for b in boxes if not any(is_furigana(b, line) for line in upright)]
    framed = [
        framed_box(cells, choice)
        for cells in grids(frames, boxes)
        if len(cells) > 1 or len(cells[0][1]) < len(boxes)
    ]
    inside = {b.index for frame in framed for b in flat(frame.rows)}
    drawn = [*framed, *(Box(-1, *rule, "", RULE) for rule in rules)]
    rows = ordered([*drawn, *(b for b in boxes if b.index not in inside)], choice)
    return [row for outer in rows for row in opened(outer) if row]


def framed_box(cells, choice):
    """Returns a frame, or a table of ruled cells, as one box."""
    inside = [(frame, ordered(boxes, choice)) for frame, boxes in sorted(cells, key=by_rows)]
    table = table_of_frames([(frame, flat(rows)) for frame, rows in inside])
    rows = [table] if table else [row for _, rows in inside for row in rows]
    x0, y0, x1, y1 = zip(*(frame for frame, _ in cells), strict=True)
    return Box(-1, min(x0), min(y0), max(x1), max(y1), "", tuple(rows))


def by_rows(cell):
    """Orders frames from top to bottom, then from left to right."""
    (x0, y0, _, _), _ = cell
    return round(y0 / THICK), x0


def opened(row):
    """Returns a row with frames in it as the rows that a person reads."""
    if isinstance(row, Table) or not any(box.rows for box in row):
        return [row]
    return [inner for box in row for inner in (box.rows or ([box],))]


def ordered(boxes, choice):
    """Returns the rows of boxes, frames among them as one box."""
    upright = sum(b.height for b in boxes if b.is_vertical)
    if upright > sum(b.width for b in boxes if not b.is_vertical and not b.rows):
        return [row for band in bands(boxes) for row in from_right_to_left(band)]
    return [row for run in runs(boxes) for row in side_by_side(run, choice)]


def is_furigana(box, line):
    """Whether a box says in small kana, to the right of a vertical line, how its letters sound."""
    slack = 0.5 * line.width
    return (
        box.width < FURIGANA * line.width
        and abs(box.x0 - line.x1) < slack
        and line.y0 - slack < box.y0 and box.y1 < line.y1 + slack
        and box.height < 0.75 * line.height
        and bool(KANA.fullmatch(box.text))
        and not KANA.fullmatch(line.text)
    )  # fmt: skip


def from_right_to_left(band):
    """Returns vertical lines as rows; pieces of one line from top to bottom."""
    laid = [Box(i, b.y0, -b.x1, b.y1, -b.x0, "") for i, b in enumerate(band)]
    return [[band[b.index] for b in row] for row in in_rows(laid)]


def runs(boxes):
    """Returns the boxes in parts from top to bottom; the lines of a part may share columns.

    A part goes on as long as a strip of white runs down through it; a heading that stands alone,
    or much white, ends it.
    """
    usual = median_of(boxes, "height")
    letter = median_of(boxes, "letter")
    parts, free = [], []
    for band in bands(boxes):
        both = shared(free, gaps(band))
        alone = is_heading(band, usual, letter)
        if parts and not alone and goes_on(parts[-1], band, both, usual):
            parts[-1] += band
            free = both
        else:
            parts.append(list(band))
            free = [] if alone else gaps(band)
    return parts


def median_of(boxes, name):
    values = [getattr(b, name) for b in boxes if not b.rows]
    return statistics.median(values) if values else 0.0


def is_heading(band, height, letter):
    """Whether a line stands alone, in larger letters than usual.

    A box is as high as the tails of its letters; where it is hardly higher, their width decides.
    """
    line = band[0]
    larger = line.height > HEADING * height or (
        line.height > height and line.letter > LARGE * letter
    )
    return len(band) == 1 and not line.rows and larger


def goes_on(part, band, free, usual):
    """Whether a band shares columns with the part above it."""
    strips = gutters([*part, *band], free)
    if not strips or any(
        not gutters(some) and len(strips) < len(gutters(other))
        for some, other in ((band, part), (part, band))
    ):
        return False  # what crosses one strip of several stands below, or above, them all
    widest = max(x1 - x0 for x0, x1 in strips)
    if any(CAPTION.match(b.text) for b in band):
        return True  # the white above it is a picture
    space = min(b.y0 for b in band) - max(b.y1 for b in part)
    return space < max(APART * usual, widest)


def gutters(boxes, free=None):
    """Returns the white strips that run down between boxes, from left to right."""
    narrowest = GUTTER * median_of(boxes, "height")
    between = gaps(boxes) if free is None else free
    return [
        (x0, x1)
        for x0, x1 in between
        if -math.inf < x0 and x1 < math.inf and x1 - x0 >= narrowest
        and any(b.x1 <= x0 for b in boxes) and any(b.x0 >= x1 for b in boxes)
    ]  # fmt: skip


def side_by_side(boxes, choice):
    """Returns the rows of a part of the page, whose strips of white run from its top to its end."""
    boxes = [b for b in boxes if b.rows != RULE]
    strips = gutters(boxes)
    level = in_rows(boxes)
    beside = [band for band in bands(boxes) if len(band) > 1]
    lone = len(boxes) < 4 or (len(level) == len(bands(boxes)) == 2)
    if not strips or not beside or (len(beside) < 2 and lone):
        return level
    cuts = [(x0 + x1) / 2 for x0, x1 in strips]
    columns = split(boxes, cuts)
    if choice.of_rows(columns):
        return tables_of_columns(columns)
    x0, x1 = max(strips, key=lambda strip: strip[1] - strip[0])
    left, right = split(boxes, [(x0 + x1) / 2])
    return [*ordered(left, choice), *ordered(right, choice)]


def split(boxes, cuts):
    """Returns the boxes between the cuts, from left to right."""
    edges = [-math.inf, *cuts, math.inf]
    return [[b for b in boxes if x0 <= b.centre < x1] for x0, x1 in pairwise(edges)]
