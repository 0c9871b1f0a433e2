"""A page of what a reader says of its lines: text, places, and which belong together."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from orchestrator.book.book_file import parsed
from orchestrator.book.layout import RAISED, Block, Line, Page, blocks_of, rows

SHORT = 4
"""Letters of a line whose length says little of their size."""
TABLE = 0.5
"""Times the numbers in the margin: with no more lines side by side than that, without them, what a
reader takes for a table is none."""
TALL = 1.4
"""Times the height of a line: a letter that is higher begins a chapter."""
NARROW = " ijlft.,:;'’!|I()[]-"


def lines_of(boxes: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the lines of the output `boxes` of a reader, one for each box; some may be empty."""
    return _with_marks([_line(box) for box in boxes])


def page_of_boxes(
    number: int,
    boxes: Sequence[Mapping[str, Any]],
    markdown: str,
    margin: Container[int] = frozenset(),
) -> Page:
    """Return a page of the outputs `boxes` and `markdown` of a reader.

    Args:
        number: The number of the page.
        boxes: Its lines.
        markdown: Its text, with tables.
        margin: Which boxes are numbers in the margin. They are left out, and what is no table
            without them is text.
    """
    tables = iter(each for each in parsed(markdown).elements if each.kind == "table")
    blocks: list[Block] = []
    found = lines_of(boxes)
    owners = [(box.get("block"), box.get("role")) for box in boxes]
    for cap, first, beside in _drop_caps(found):
        text = found[cap].text.strip() + found[first].text.lstrip()
        found[first] = msgspec.structs.replace(found[first], text=text, left=found[cap].left)
        found[cap] = msgspec.structs.replace(found[cap], text="")
        for k in (cap, *beside):
            owners[k] = owners[first]
    prose: list[Line] = []
    for (_, role), some in groupby(range(len(boxes)), owners.__getitem__):
        group = [k for k in some if found[k].text]
        bare = [found[k] for k in group if k not in margin]
        lines = rows(bare)
        if not lines:
            continue
        table = next(tables, None) if role == "table" else None
        pairs, numbers = len(bare) - len(lines), len(group) - len(bare)
        loose = numbers > 0 and pairs <= TABLE * numbers
        if table is not None and (len(lines) == 1 or loose):
            table, role = None, "paragraph"  # noqa: PLW2901
        if margin and role in ("paragraph", "list"):
            prose += lines  # parted by numbers, perhaps
            continue
        blocks += blocks_of(prose)
        prose = []
        if table is not None:
            lines = [msgspec.structs.replace(lines[0], text=table.text)]
        blocks.append(Block(str(role or "paragraph"), tuple(lines), markdown=table is not None))
    return Page(number, (*blocks, *blocks_of(prose)))


def _drop_caps(lines: Sequence[Line]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield each letter that is as high as several lines, the first of these, and all of them."""
    for k, cap in enumerate(lines):
        if len(cap.text.strip()) != 1 or not cap.text.strip().isupper():
            continue
        beside = [
            other
            for other, line in enumerate(lines)
            if len(line.text) >= SHORT
            and cap.top - 0.5 * line.size < line.middle < cap.bottom
            and -line.size < line.left - cap.right < 1.5 * line.size
            and cap.bottom - cap.top > TALL * (line.bottom - line.top)
        ]
        first = min(beside, key=lambda other: lines[other].top, default=None)
        if first is not None and lines[first].text.lstrip()[0].isalpha():
            yield k, first, beside


def _with_marks(lines: list[Line]) -> list[Line]:
    """Return lines with the marks of notes at their ends, which a reader may find apart.

    What was moved is left as an empty line.
    """
    found = list(lines)
    for k, mark in enumerate(lines):
        if len(mark.text) > 2 or not mark.text.isdigit():
            continue
        for other, line in enumerate(lines):
            near = abs(mark.left - line.right) < 0.7 * line.size
            raised = line.top - 0.4 * line.size < mark.middle < line.middle
            small = mark.bottom - mark.top < 0.8 * (line.bottom - line.top)
            if other != k and near and raised and small:
                text = found[other].text + mark.text.translate(RAISED)
                found[other] = msgspec.structs.replace(found[other], text=text)
                found[k] = msgspec.structs.replace(mark, text="")
                break
    return found


def _line(box: Mapping[str, Any]) -> Line:
    across, down = zip(*box["polygon"], strict=True)
    left, top, right, bottom = min(across), min(down), max(across), max(down)
    text = box["text"]
    size = 0.8 * min(bottom - top, right - left)  # of a vertical line, its width
    if len(text) >= SHORT:
        # How long a line is says more of its letters than how high: that depends on which they are.
        size = max(bottom - top, right - left) / sum(map(_advance, text))
    return Line(text, left, top, right, bottom, size)


def _advance(letter: str) -> float:
    """Return the usual width of a letter, in ems."""
    if letter >= "\u2e80":
        return 1.0
    if letter in NARROW:
        return 0.28
    if letter in "mwMW@%—":
        return 0.85
    return 0.67 if letter.isupper() else 0.5
