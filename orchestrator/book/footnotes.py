"""Footnotes: set small at the foot of a page, taken out of the running text, and referred to."""
# ruff: noqa: RUF001 - marks of notes

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from orchestrator.book.layout import RAISED, Block, Line, Page

SMALLER = 0.87
"""Times the usual size: notes are set smaller than this."""

_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹①②③④⑤⑥⑦⑧⑨", "0123456789123456789")
_MARK = re.compile(r"[\[(（〔]?(\d{1,3}|[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}|[①-⑨]|[*†‡§])[\])）〕.、]?\s*(?=\S)")
_AFTER = r"(?<=[^\W\d_]|[.,;:!?\"'”’)\]。，；：！？、》」』）])"

OPEN, CLOSE = "\ue000", "\ue001"
"""What stands around the name of a note where a text refers to it, until it is Markdown."""


class Note(NamedTuple):
    """A note: its mark on the page, and its lines."""

    mark: str
    lines: tuple[Line, ...]
    markdown: bool


def split_notes(page: Page, usual: float) -> tuple[Page, list[Note]]:
    """Return a page without its notes, and these.

    A block is notes if it is set smaller than the text, begins with a mark, and has no text below
    it in its column; or if the reader says so.
    """
    notes: list[Note] = []
    left: list[Block] = []
    inside = False
    for block in page.blocks:
        if block.role == "footnote":
            notes.append(Note(block.mark, block.lines, block.markdown))
            continue
        small = 0 < block.size <= SMALLER * usual and block.role != "table"
        if small and _is_last(block, page.blocks, usual):
            if _MARK.match(block.lines[0].text):
                notes += _notes(block)
                inside = True
                continue
            if inside and notes:
                notes[-1] = notes[-1]._replace(lines=notes[-1].lines + block.lines)
                continue
        inside = False
        left.append(block)
    return Page(page.number, tuple(left)), notes


def _is_last(block: Block, blocks: Sequence[Block], usual: float) -> bool:
    """Whether no text of the usual size stands below a block, in its column."""
    left, _, right, bottom = block.box
    return not any(
        other.size > SMALLER * usual
        and other.box[1] > bottom - block.size
        and min(right, other.box[2]) > max(left, other.box[0])
        for other in blocks
    )


def _notes(block: Block) -> list[Note]:
    """Return the notes of a block: one begins with each mark that is the next, or no number."""
    notes: list[Note] = []
    for line in block.lines:
        match = _MARK.match(line.text)
        mark = match[1].translate(_PLAIN) if match else ""
        follows = not notes or not mark.isdigit() or not notes[-1].mark.isdigit()
        if match and (follows or int(mark) == int(notes[-1].mark) + 1):
            rest = msgspec.structs.replace(line, text=line.text[match.end() :])
            notes.append(Note(mark, (rest,), block.markdown))
        else:
            notes[-1] = notes[-1]._replace(lines=(*notes[-1].lines, line))
    return notes


def referred(page: Page, notes: Sequence[Note], first: int) -> Page:
    """Return a page whose text refers to its notes by their numbers in the book.

    A reference is the mark of the note, raised or behind a word or a mark of punctuation. What
    cannot be found is put at the end of the last paragraph.

    Args:
        page: The page without its notes.
        notes: Its notes.
        first: The number in the book of the first of them.
    """
    blocks = list(page.blocks)
    texts = [k for k, block in enumerate(blocks) if block.role in ("paragraph", "list", "heading")]
    start = (0, 0, 0)
    for number, note in enumerate(notes, start=first):
        place = next(_places(blocks, texts, note.mark, start), None)
        name = f"{OPEN}{number}{CLOSE}"
        if place is not None:
            k, row, begin, end = place
            blocks[k] = _replaced(blocks[k], row, begin, end, name)
            start = (k, row, begin + len(name))
        elif texts:
            last = blocks[texts[-1]]
            end = len(last.lines[-1].text)
            blocks[texts[-1]] = _replaced(last, len(last.lines) - 1, end, end, name)
    return Page(page.number, tuple(blocks))


def _places(
    blocks: Sequence[Block], texts: Sequence[int], mark: str, start: tuple[int, int, int]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the places of a mark from `start` on, the likeliest first: block, line, begin, end."""
    raised = mark.translate(RAISED)
    for pattern in (
        rf"(?:{re.escape(raised)}|\[{re.escape(mark)}\]|〔{re.escape(mark)}〕)(?![0-9])",
        rf"{_AFTER}(?<!No\.)(?<!\d\.) ?{re.escape(mark)}(?![0-9A-Za-z%.,:–-]|\s*年)",
    ):
        for k in texts:
            for row, line in enumerate(blocks[k].lines):
                for match in re.finditer(pattern, line.text):
                    if (k, row, match.start()) >= start:
                        yield k, row, match.start(), match.end()


def _replaced(block: Block, row: int, begin: int, end: int, name: str) -> Block:
    line = block.lines[row]
    text = line.text[:begin].rstrip() + name + line.text[end:]
    lines = (*block.lines[:row], msgspec.structs.replace(line, text=text), *block.lines[row + 1 :])
    return msgspec.structs.replace(block, lines=lines)
