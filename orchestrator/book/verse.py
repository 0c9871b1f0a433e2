"""Verse: lines that end on purpose, kept as lines; a stanza is a block of the role "verse"."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from orchestrator.book.headings import is_scene
from orchestrator.book.hyphens import CHINESE
from orchestrator.book.indents import has_indent
from orchestrator.book.layout import ITEM, Block, Line, Page

FEWEST = 4
"""Lines of Latin verse on a page, speakers among them; of what else is short, one reads as well."""
OPEN_ENDS = 0.15
"""Of the lines of verse: those that do not end a sentence, as every line of a dialogue does."""
RUN_ON = 0.1
"""Of the lines of verse: those that go on in the next with a small letter."""
ROOM = 0.6
"""Of the lines of free verse: those that leave room for the next word."""
STANZA = 1.3
"""Times the usual step: what is farther apart is another stanza."""
INDENT = 1.0
"""Ems: a line that begins so far to the right, with a small letter, goes on with the one above."""

MARKED = 0.8
"""Of the lines of Chinese verse: those that end with a mark."""

_MARK = re.compile(r"[，。！？；：、,.!?;:…][”’」』]*$")
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’»)\]」』]*$")
_OPENING = "\"'“‘«»„(（「『—–-… "
_CLAUSE = re.compile(r"[^，。！？；：、,.!?;:\s]+")


def with_verse(page: Page, before: Page, after: Page) -> Page:
    """Return a page whose verse is in blocks of its own, one for each stanza.

    Args:
        page: The page.
        before: The one before it, on which a poem may begin.
        after: The next one, on which it may end.
    """
    stretches = list(_stretches(page))
    blocks: list[Block] = []
    for k, (stretch, block) in enumerate(stretches):
        above = list(_stretches(before))[-1][0] if k == 0 else []
        below = next(_stretches(after))[0] if k == len(stretches) - 1 else []
        lines = [line for each in (*above, *stretch, *below) for line in each.lines]
        blocks += _kept(stretch) if stretch and _is_verse(lines) else stretch
        blocks += [block] if block else []
    return Page(page.number, tuple(blocks))


def _stretches(page: Page) -> Iterator[tuple[list[Block], Block | None]]:
    """Yield consecutive blocks that may be verse, and the block that ends them."""
    stretch: list[Block] = []
    step = page.step
    names = Counter(line.text for line in page.lines)
    above: tuple[Line, ...] = ()
    for block, below in zip(page.blocks, [*page.blocks[1:], None], strict=False):
        right = max((line.right for line in page.lines if _overlap(line, block)), default=0.0)
        lines = (*block.lines, *(below.lines if below else ()))
        speaks = _are_near(lines, step) or (not below and names[block.text] > 1)
        within = bool(stretch) and _are_near((*above, *block.lines), step)
        if _may_be_verse(block, right) or (
            block.role == "heading" and (within or (speaks and _is_name(block.lines[0])))
        ):
            stretch.append(block)
        else:
            yield stretch, block
            stretch = []
        above = block.lines[-1:]
    yield stretch, None


def is_stanza(texts: Sequence[str]) -> bool:
    """Return whether lines of plain text, without places, are verse."""
    lines = tuple(
        Line(
            text, 0.0, top, sum(1.0 if CHINESE.match(each) else 0.5 for each in text), top + 1, 1.0
        )
        for top, text in enumerate(texts)
    )
    right = max(line.right for line in lines)
    return _may_be_verse(Block("paragraph", lines), right) and _is_verse(lines)


def lines_of_stanza(lines: Sequence[Line]) -> list[list[str]]:
    """Return the lines of a stanza, each as the parts that it was broken into."""
    found: list[list[str]] = []
    before: Line | None = None
    for line in lines:
        begins = line.text.lstrip(_OPENING)[:1]
        if before and begins.islower() and line.left > before.left + INDENT * line.size:
            found[-1].append(line.text)
        else:
            found.append([line.text])
            before = line
    return found


def _overlap(line: Line, block: Block) -> bool:
    left, _, right, _ = block.box
    return line.left < right and line.right > left


def _may_be_verse(block: Block, right: float) -> bool:
    """Whether a block may be some lines of verse: it is no list, and does not run on as prose.

    Args:
        block: The block.
        right: Where the lines above and below it end.
    """
    if block.role != "paragraph" or block.markdown or not block.size:
        return False
    if ITEM.match(block.lines[0].text) or is_scene(block.text):
        return False
    if len(block.lines) <= 2 and _leaves_room(block.lines, right):
        return True
    if CHINESE.search(block.text):
        return _are_marked(block.lines) or _leaves_room(block.lines)
    if has_indent(block) and block.lines[0].right > right - block.size:
        return False  # a paragraph
    return not _runs_on(block.lines) or _leaves_room(block.lines)


def _runs_on(lines: Sequence[Line]) -> int:
    """Return how many lines go on in the next, with a small letter at the same place."""
    return sum(
        below.text.lstrip(_OPENING)[:1].islower() and below.left <= above.left + INDENT * above.size
        for above, below in pairwise(lines)
    )


def _are_near(lines: Sequence[Line], step: float) -> bool:
    """Whether the second of some lines is as near to the first as in a text: no heading is."""
    return len(lines) > 1 and 0 < lines[1].middle - lines[0].middle < STANZA * step


def _is_name(line: Line) -> bool:
    return line.text.isupper() and len(line.text.split()) <= 3


def _is_regular(lines: Sequence[Line]) -> bool:
    """Whether Chinese lines are clauses of one length, as in a classical poem."""
    clauses = [len(each) for line in lines for each in _CLAUSE.findall(line.text)]
    return len(clauses) > 1 and len(set(clauses)) == 1 and 4 <= clauses[0] <= 7


def _are_marked(lines: Sequence[Line]) -> bool:
    """Whether lines end with marks of punctuation."""
    marked = sum(_MARK.search(line.text) is not None for line in lines)
    return marked >= MARKED * len(lines)


def _is_uneven(lines: Sequence[Line]) -> bool:
    """Whether Chinese lines end with marks though not all are full, or leave room."""
    right = max(line.right for line in lines)
    free = any(line.right < right - 0.8 * line.size for line in lines[:-1])
    return (free and _are_marked(lines)) or _leaves_room(lines)


def _leaves_room(lines: Sequence[Line], right: float | None = None) -> bool:
    """Whether most lines end although the first word of the next would have had room."""
    least = FEWEST - 2 if right is None else 0
    edge = max(line.right for line in lines) if right is None else right
    room = [above.right + _first_word(below) < edge for above, below in pairwise(lines)]
    return len(room) >= least and sum(room) >= ROOM * len(room)


def _first_word(line: Line) -> float:
    """Return the width of the first word of a line, with a space."""
    wide = 1.0 if CHINESE.match(line.text) else 0.55 * (len(line.text.split(" ")[0]) + 0.5)
    return wide * line.size


def _kept(stretch: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks as stanzas, but for those that begin farther to the left, which are prose."""
    longer = [block for block in stretch if len(block.lines) > 1] or stretch
    left = min(line.left for block in longer for line in block.lines)
    for prose, group in groupby(stretch, lambda each: _is_left(each, left)):
        some = list(group)
        yield from some if prose else _stanzas(some)


def _is_left(block: Block, left: float) -> bool:
    return all(line.left < left - INDENT * line.size for line in block.lines)


def _stanzas(stretch: Sequence[Block]) -> Iterator[Block]:
    """Yield the lines of blocks as stanzas."""
    lines = [line for block in stretch for line in block.lines]
    steps = [below.middle - above.middle for above, below in pairwise(lines)]
    usual = statistics.median([step for step in steps if step > 0] or [0.0])
    stanza: list[Line] = []
    for line in lines:
        if stanza and not 0 < line.middle - stanza[-1].middle <= STANZA * usual:
            yield Block("verse", tuple(stanza))
            stanza = []
        stanza.append(line)
    yield Block("verse", tuple(stanza))


def _is_verse(lines: Sequence[Line]) -> bool:
    quotes = sum(line.text[0] in _OPENING for line in lines)
    open_ends = sum(not _SENTENCE.search(line.text) for line in lines) >= OPEN_ENDS * len(
        lines
    ) and 2 * quotes < len(lines)
    if CHINESE.search(lines[0].text):
        clauses = sum(len(_CLAUSE.findall(line.text)) for line in lines)
        return (clauses >= FEWEST and _is_regular(lines)) or (
            open_ends and len(lines) >= FEWEST - 1 and _is_uneven(lines)
        )
    free = _runs_on(lines) <= RUN_ON * len(lines) or _leaves_room(lines)
    return open_ends and free and len(lines) >= FEWEST
