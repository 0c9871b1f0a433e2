"""Tells columns of text from the rows of a table, by evidence."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
import statistics
from itertools import pairwise

from .boxes import followers, level
from .script import is_han

SMALL = 0.9
"""Notes in the margin are set in letters smaller than this, compared with the text."""
ENDS = ".!?:;。！？：；…"
BULLET = re.compile(r"\s*([•·●○◦▪■□◆※*–—-]|\(?\d{1,2}[.)、]|\(?[a-zA-Z][.)])\s*\S")

CAPTION = re.compile(
    r"(fig(ure|\.)?|table|plate|abb(ildung|\.)|图|表|図)\s*\d+\s*[.:：—–-]?(\s|$|(?<=[.:：])|(?=[\u3040-\u9fff]))",
    re.IGNORECASE,
)


def evidence(columns):
    """Returns how much speaks for columns (more than 0) or for the rows of a table (less)."""
    columns = [[b for b in column if not b.rows] for column in columns]
    if not all(columns):
        return 2.0  # a frame beside text
    left, *others = columns
    right = max(others, key=len)
    down, across = runs_on(columns)
    widths = [statistics.median(b.width for b in column) for column in columns]
    few, many = min(columns, key=len), max(columns, key=len)
    points = -1.0  # what nothing speaks for is read across, as forms and lists of prices are
    points -= 4 * any(len(c) > 1 and share(c, is_numeric) >= 0.6 for c in columns)
    points -= 3 * (share(left, lambda text: text[-1:] in ":：") >= 0.6)
    points -= 3 * (ask(left) >= 0.5 > ask(right))
    points += 4 * (sum(share(c, BULLET.match) >= 0.5 for c in columns) > 1)
    points += 1.5 * any(re.search(r"\w: ?\w", b.text) for column in others for b in column)
    points += 3 * down - 2 * across
    narrow = max(b.width for b in left) < 0.5 * max(widths[1:])
    points -= 2 * (narrow and words(left) <= 2)
    points += 2.5 * (2 * len(few) <= len(many) and len(followers(few)) == len(few) - 1)
    points += 2 * (is_prose(left) and is_prose(right))
    points += 2.5 * (levelness(few, many) < 0.6)
    points += 2.5 * is_verse(columns)
    points += 2 * ends_ragged(columns)
    points -= 3 * (narrow and are_beside(columns))
    points += 0.5 if min(widths) > 0.7 * max(widths) else -0.5
    return points - 1 * (len(columns) > 2 and down < 0.2)


def share(column, test):
    """Returns the part of lines whose text passes a test."""
    return sum(bool(test(b.text)) for b in column) / len(column)


def is_numeric(text):
    letters = text.replace(" ", "")
    return 2 * sum(c.isdigit() for c in letters) >= len(letters) > 0


def ask(column):
    return share(column, lambda text: text[-1:] in "?？")


def words(column):
    """Returns how many words a line has, four Chinese letters for two."""
    return statistics.median(
        len(b.text.split()) + sum(map(is_han, b.text)) / 2 for b in column if b.text
    )


def runs_on(columns):
    """Returns the parts of lines whose sentence runs on below, and beside, in small letters."""
    below = [pair for column in columns for pair in followers(column)]
    beside = [
        (a, b) for left, right in pairwise(columns) for a in left for b in right if level(a, b)
    ]
    return tuple(
        sum(a.text[-1:] not in ENDS and b.text[:1].islower() for a, b in pairs) / max(len(pairs), 1)
        for pairs in (below, beside)
    )


def levelness(few, many):
    """Returns which part of lines stands at the height of one in the other column."""
    touching = [
        (a, [b for b in many if min(a.y1, b.y1) > max(a.y0, b.y0)])
        for a in few
    ]  # fmt: skip
    beside = [any(level(a, b) for b in some) for a, some in touching if some]
    return sum(beside) / len(beside) if beside else 1.0


def is_prose(boxes):
    """Whether lines are long, and most of them about as long as the longest: set in a column."""
    widths = sorted(b.width for b in boxes)
    full = widths[int(0.9 * (len(widths) - 1))]
    long_enough = statistics.median(widths) > 8 * statistics.median(b.height for b in boxes)
    return len(widths) > 2 and long_enough and 2 * sum(w > 0.7 * full for w in widths) > len(widths)


def is_verse(columns):
    """Whether all lines have equally many Chinese letters, as lines of verse have."""
    counts = {sum(map(is_han, b.text)) for column in columns for b in column}
    return len(counts) == 1 and min(counts) > 2


def ends_ragged(columns):
    """Whether columns of unequal length stand level as far as they go, as lists do."""
    shortest = len(min(columns, key=len))
    rows = zip(*(sorted(c, key=lambda b: b.middle)[:shortest] for c in columns), strict=True)
    return (
        len({len(c) for c in columns}) > 1
        and shortest > 1
        and all(level(row[0], box) for row in rows for box in row)
    )


def paragraphs(column):
    """Returns the first lines of what stands closer together than the rest of a column."""
    lines = sorted(column, key=lambda b: b.middle)
    steps = [b.middle - a.middle for a, b in pairwise(lines)]
    wide = [b for step, b in zip(steps, lines[1:], strict=True) if step > 1.25 * min(steps)]
    return [*lines[:1], *wide]


def are_beside(columns):
    """Whether each of several paragraphs begins beside one in every other column."""
    heads = [paragraphs(column) for column in columns]
    return len({len(head) for head in heads}) == 1 < len(heads[0]) and all(
        abs(a.y0 - row[0].y0) < min(a.height, row[0].height)
        for row in zip(*heads, strict=True)
        for a in row
    )


def are_notes(columns):
    """Whether the first of two columns holds notes beside prose, in smaller letters."""
    return (
        len(columns) == 2
        and is_prose(columns[1])
        and statistics.median(b.height for b in columns[0])
        < SMALL * statistics.median(b.height for b in columns[1])
    )
