"""Indents: where one stands within a block, a paragraph begins."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from orchestrator.book.layout import Block, Line, Page

LEAST, MOST = 0.6, 4.0
"""Ems of an indent."""
SHORT = 4.0
"""Ems that a line leaves free which is the last of its paragraph."""

_SENTENCE = re.compile(r"[.!?…。！？:：][\"'”’»)\]」』\ue000-\ue0010-9]*$")


def has_indent(block: Block) -> bool:
    """Return whether the first line of a block stands farther in than others."""
    first, *others = block.lines
    return bool(others) and first.left > min(line.left for line in others) + LEAST * first.size


def parted_at_indents(page: Page) -> Page:
    """Return a page whose paragraphs are parted where a line is indented behind one that ends.

    A reader may take short paragraphs, as of a dialogue, for one: each line of them is indented.
    """
    return Page(page.number, tuple(part for block in page.blocks for part in _parted(block, page)))


def _parted(block: Block, page: Page) -> Iterator[Block]:
    left = _column_left(block, page)
    if left is None:
        yield block
        return
    right = max(line.right for line in block.lines)
    some: list[Line] = []
    for line in block.lines:
        indented = LEAST * line.size < line.left - left < MOST * line.size
        if (
            some
            and indented
            and (_SENTENCE.search(some[-1].text) or some[-1].right < right - SHORT * line.size)
        ):
            yield msgspec.structs.replace(block, lines=tuple(some))
            some = []
        some.append(line)
    yield msgspec.structs.replace(block, lines=tuple(some))


def _column_left(block: Block, page: Page) -> float | None:
    """Return where the lines around a paragraph begin; None where it may be a quotation.

    All lines of a quotation are indented, and not each ends a sentence.
    """
    if block.role != "paragraph" or block.markdown or not block.size:
        return None
    x0, _, x1, _ = block.box
    around = [
        line.left
        for other in page.blocks
        if other.role == "paragraph"
        for line in other.lines
        if line.left < x1 and line.right > x0 and line.size
    ]
    left = min(around)
    flush = min(line.left for line in block.lines) <= left + LEAST * block.size
    short = all(_SENTENCE.search(line.text) for line in block.lines[:-1])
    return left if flush or short else None
