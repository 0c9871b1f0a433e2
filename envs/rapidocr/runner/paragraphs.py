"""Gathers the rows of a page into blocks: headings, paragraphs, lists, captions, tables.

docs/reading.md has the rules.
"""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
import statistics
from itertools import pairwise
from typing import NamedTuple

from .boxes import Table, flat
from .columns import BULLET, CAPTION, ENDS
from .script import is_han
from .tables import BOLD
from .text import row_text

HEADINGS = (1.75, 1.32, 1.15)
"""Times the size of the text: the least of headings of the first, second and third level."""
LIKE, UNLIKE = 1.13, 1.25
"""Lines whose sizes differ by more than this are of different blocks, or of different columns."""
TALLER = 1.06
"""The heights of lines of unlike size differ by this at least."""
MORE = 1.18
"""A step this much longer than the usual one begins a block."""
INDENT = 0.8
"""Ems."""
OPEN = 1.5
"""Ems: a line that leaves so much free, where the next word would fit, ends on purpose."""
NARROWEST = 8
"""Ems: lines of Chinese that are shorter are verse or items; no text is set in such a column."""
CHAPTER = re.compile(
    r"(chapter|part|book|section|appendix)\s+([ivxlc]+|\d+|[a-z])\b[.:]?|第[一二三四五六七八九十百零〇\d]+[章节回部卷篇]",
    re.IGNORECASE,
)
PAGE_NUMBER = re.compile(
    r"\W*(page\s+)?(\d{1,4}|[ivxlc]{1,7})(\s*(/|of)\s*\d{1,4})?\W*|\W*第?\s*\d{1,4}\s*页?\W*",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """A row in the direction in which it is read; vertical ones are laid to the right."""

    start: float
    end: float
    top: float
    bottom: float
    text: str
    vertical: bool
    stroke: float

    @property
    def middle(self):
        """The y halfway between top and bottom."""
        return (self.top + self.bottom) / 2

    @property
    def size(self):
        """The size of its letters in pixels, by the width that they take."""
        high = 0.8 * (self.bottom - self.top)
        if len(self.text) < 4:
            return high
        return (self.end - self.start - 0.25 * high) / sum(map(advance, self.text))

    def differs(self, other, ratio):
        """Whether the letters of two lines are of unlike size, in width and in height."""
        heights = self.bottom - self.top, other.bottom - other.top
        sizes = self.size, other.size
        return max(sizes) > ratio * min(sizes) and max(heights) > TALLER * min(heights)


class Block(NamedTuple):
    """What stands together on a page.

    Attributes:
        role: "heading", "paragraph", "list", "caption", "table" or "page-number".
        rows: The rows of boxes, or the one table.
        texts: The text of each row.
        breaks: For each row, whether its line ends on purpose: the next one does not run on.
        level: Of a heading, from 1.
    """

    role: str
    rows: list
    texts: list
    breaks: list
    level: int = 0


def advance(letter):
    """Returns the usual width of a letter, in ems."""
    if is_han(letter):
        return 1.0
    if letter in " ijl.,:;'’|!I()[]":
        return 0.28
    if letter in "ftr-":
        return 0.35
    if letter in "mwMW@%—":
        return 0.85
    return 0.67 if letter.isupper() else 0.52


def line_of(row):
    """Returns a row of boxes as a line."""
    boxes = [(b.y0, b.y1, -b.x1, -b.x0) if b.is_vertical else (b.x0, b.x1, b.y0, b.y1) for b in row]
    start, end, top, bottom = zip(*boxes, strict=True)
    stroke = statistics.fmean(b.stroke for b in row)
    return Line(
        min(start), max(end), min(top), max(bottom), row_text(row), row[0].is_vertical, stroke
    )


class Usual(NamedTuple):
    """What is usual on a page: the size of letters, and their strokes as a part of it."""

    size: float
    stroke: float

    @classmethod
    def of(cls, lines):
        """Returns the medians over the letters of lines."""
        letters = [line for line in lines for _ in line.text]
        if not letters:
            return cls(0.0, 0.0)
        size = statistics.median(line.size for line in letters)
        return cls(size, statistics.median(line.stroke / line.size for line in letters))

    def is_bold(self, line):
        """Whether the strokes of a line are wider than usual.

        Monospaced capitals are narrower than others: by their width alone, they would seem bold.
        """
        return line.stroke > BOLD * self.stroke * max(line.size, self.size)


def gather(pieces):
    """Returns the blocks of a page, of its rows and tables in reading order."""
    lines = [None if isinstance(piece, Table) else line_of(piece) for piece in pieces]
    usual = Usual.of(line_of([box]) for box in flat(pieces))
    bottom = max((line.bottom for line in lines if line), default=0.0)
    blocks, start = [], 0
    for end in range(1, len(lines) + 1):
        if end < len(lines) and goes_down(*lines[end - 1 : end + 1]):
            continue
        if lines[start] is None:
            blocks.append(Block("table", [pieces[start]], [], []))
        else:
            some = list(zip(pieces[start:end], lines[start:end], strict=True))
            blocks += [block_of(part, usual, bottom) for part in parts(some, usual)]
        start = end
    return merged(blocks)


def goes_down(above, line):
    """Whether a line stands below another, in letters of like size."""
    return bool(
        above
        and line
        and above.vertical == line.vertical
        and line.middle > above.middle
        and min(above.end, line.end) > max(above.start, line.start)
        and line.top - above.bottom < 1.5 * (line.bottom - line.top)
        and not line.differs(above, UNLIKE)
    )


def parts(some, usual):
    """Returns lines of one column in parts: paragraphs, items, headings."""
    lines = [line for _, line in some]
    em = usual.size
    left, right = min(line.start for line in lines), max(line.end for line in lines)
    steps = [b.middle - a.middle for a, b in pairwise(lines)]
    step = statistics.median_low(steps) if len(steps) > 1 else 1.6 * em
    flush = sum(line.start < left + INDENT * em / 2 for line in lines) * 2 > len(lines)
    narrow = right - left < NARROWEST * em
    listed = all(line.text[0].isupper() or line.text[0].isdigit() for line in lines)
    found = [[(*some[0], False)]]
    for (above, (row, line)), space in zip(zip(lines, some[1:], strict=False), steps, strict=True):
        room = right - above.end - advance(" ") * em - first_word(line)
        ends = above.text.rstrip("\"'”’)）」』")[-1:] in ENDS
        begins = (
            (space > MORE * step and space - step > 0.15 * em)
            or BULLET.match(line.text)
            or (
                flush
                and line.start > left + INDENT * em > above.start + INDENT * em / 2
                and not BULLET.match(found[-1][0][1].text)
            )
            or (room > 0.5 * em and ends)
            or line.differs(above, LIKE)
            or usual.is_bold(above) != usual.is_bold(line)
        )
        if begins:
            found.append([])
        elif room > OPEN * em or listed or (narrow and is_han(line.text[0])):
            found[-1][-1] = (*found[-1][-1][:2], True)
        found[-1].append((row, line, False))
    return found


def first_word(line):
    """Returns the width of what would have to fit, had the line gone on: a word, or a letter."""
    word = line.text[0] if is_han(line.text[0]) else line.text.split()[0]
    return (line.end - line.start) * len(word) / len(line.text)


def block_of(part, usual, bottom):
    """Returns lines that belong together as a block."""
    rows, lines, breaks = (list(column) for column in zip(*part, strict=True))
    texts = [line.text for line in lines]
    text = " ".join(texts)
    size = statistics.median(line.size for line in lines) / usual.size
    bold = all(map(usual.is_bold, lines))
    level = heading_level(text, size, bold=bold) if len(lines) <= 3 else 0
    if level:
        return Block("heading", rows, texts, breaks, level)
    if PAGE_NUMBER.fullmatch(text) and lines[0].bottom >= bottom:
        return Block("page-number", rows, texts, breaks)
    if BULLET.match(texts[0]):
        return Block("list", rows, texts, breaks)
    if CAPTION.match(text) and len(lines) <= 4:
        return Block("caption", rows, texts, breaks)
    return Block("paragraph", rows, texts, breaks)


def heading_level(text, size, *, bold):
    """Returns the level of a heading, or 0: it is none."""
    words = sum(c.isalpha() for c in text) > sum(c.isdigit() for c in text)
    if text[-1] in ".;。；" or not words or CAPTION.match(text):
        return 0
    level = next((n for n, least in enumerate(HEADINGS, 1) if size >= least), 0)
    if not level and len(text) < 60 and CHAPTER.match(text):
        return 2
    if level in (0, 3) and (text[-1] in ",，、" or len(text) < 3):
        return 0
    return level or 3 * bold


def merged(blocks):
    """Returns blocks with the items of a list, and what runs on in the next column, together."""
    found = []
    for block in blocks:
        last = found[-1] if found else None
        if last and last.role == block.role and (block.role == "list" or runs_on(last, block)):
            found[-1] = last._replace(
                rows=last.rows + block.rows,
                texts=last.texts + block.texts,
                breaks=[*last.breaks[:-1], block.role == "list", *block.breaks],
            )
        else:
            found.append(block)
    return [
        block._replace(role="paragraph") if block.role == "list" and is_lone(block) else block
        for block in found
    ]


def is_lone(block):
    """Whether a list has a single item, which begins with a number or a letter."""
    return (
        sum(bool(BULLET.match(text)) for text in block.texts) == 1 and block.texts[0][0].isalnum()
    )


def runs_on(last, block):
    """Whether a sentence that is open at the end of a paragraph goes on in the next."""
    if block.role != "paragraph":
        return False
    return last.texts[-1][-1] not in ENDS and block.texts[0][0].islower()
