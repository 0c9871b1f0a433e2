"""The text of pages: what runs over their borders put together, as the elements of a book."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from orchestrator.book.content import Element, Kind, escaped
from orchestrator.book.contents import listed, titles_on
from orchestrator.book.footnotes import CLOSE, OPEN, Note, referred, split_notes
from orchestrator.book.headings import is_bare, is_numbered, is_scene, is_section
from orchestrator.book.hyphens import CHINESE, joined
from orchestrator.book.indents import has_indent, parted_at_indents
from orchestrator.book.known import Known
from orchestrator.book.layout import ITEM, Block, Line, Page
from orchestrator.book.running import cleaned
from orchestrator.book.sentences import ends_with_abbreviation
from orchestrator.book.verse import lines_of_stanza, with_verse

KINDS: dict[str, Kind] = {
    "heading": "heading", "list": "list", "table": "table", "caption": "caption",
    "formula": "formula", "code": "code",
}  # fmt: skip
"""The kinds of elements by role; all else is a paragraph."""

LIKE = 0.92
"""Headings whose sizes differ by less than this are of one level."""
FULL = 1.6
"""Ems: a line that leaves less free on the right, beside the next word, is full."""
LONGEST_HEADING = 120

_END = re.compile(r"[.!?…。！？：:；;][\"'”’)\]」』）》\ue000-\ue0010-9]*$")
_POINT = re.compile(r"[.。]\W*(?:\ue000\d+\ue001)?$")
_FIRST_WORD = re.compile(r"[^\s\u2e80-\uffef]+")
_ITEM = re.compile(r"\s*(?:([•·●○◦▪■–—*-])|(\d{1,3}[.)]|[a-z]\)))\s+(?=\S)")


class _Heading(msgspec.Struct, frozen=True):
    """What says of which level a heading is.

    Attributes:
        named: Whether it is numbered as a chapter, or the contents list it.
        section: Whether it is numbered as a part of a chapter, or as a scene.
        size: Of its letters; 0 where a reader gives no places.
        said: The level that the reader gives, or 0.
        below: Whether it stands right below another heading, and is not numbered as a chapter.
    """

    named: bool
    section: bool
    size: float
    said: int
    below: bool = False


class _Part(msgspec.Struct, frozen=True):
    """A block on its way, with its page; a heading may be one of several blocks."""

    block: Block
    page: int
    headings: tuple[_Heading, ...] = ()

    @property
    def role(self) -> str:
        return "heading" if self.headings else self.block.role


class BookText:
    """The text of consecutive pages, as it stood in the manuscript.

    Iterating takes a page at a time and yields the elements that no later page can change: a page
    is decided by those before it and by `running.AHEAD` behind it. The levels of headings are known
    at the end.

    Args:
        pages: The pages.
    """

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = cleaned(page for page in pages if page.blocks)
        self._known = Known()
        self._headings: list[tuple[_Heading, ...]] = []
        self._notes: dict[str, tuple[int, Note]] = {}

    def __iter__(self) -> Iterator[Element]:
        """Yield the elements, headings without a level."""
        for part in _run_on(self._parts(), self._known):
            element = _element(part, self._known.words)
            if part.headings:
                self._headings.append(part.headings)
            yield element
            yield from self._referred(element)

    def levelled(self, elements: Iterable[Element]) -> Iterator[Element]:
        """Yield the elements that it has yielded, when these are all, with the levels."""
        levels = iter(_levels(self._headings))
        for each in elements:
            is_heading = each.kind == "heading"
            yield msgspec.structs.replace(each, level=next(levels)) if is_heading else each

    def _parts(self) -> Iterator[_Part]:
        """Yield the blocks of the running text, and keep the notes."""
        titles: list[str] = []
        follows = False
        before = blank = Page(0, ())
        number = 1
        for page, ahead in self._pages:
            self._known.take(page, ahead)
            found = titles_on(page, follows=follows)
            follows = bool(found)
            titles += found
            if found:
                continue
            usual = self._known.usual_size
            bare, notes = split_notes(page, usual)
            bare = referred(bare, notes, number)
            for name, note in enumerate(notes, start=number):
                self._notes[str(name)] = (page.number, note)
            number += len(notes)
            parted = parted_at_indents(with_verse(bare, before, ahead[0] if ahead else blank))
            before = bare
            parts = (_part(block, page.number, titles, usual) for block in parted.blocks)
            yield from _merged_headings(parts)

    def _referred(self, element: Element) -> Iterator[Element]:
        """Yield the notes that an element refers to."""
        for name in re.findall(r"\[\^(\d+)\]", element.text):
            if name in self._notes:
                page, note = self._notes.pop(name)
                text = joined([line.text for line in note.lines], self._known.words)
                yield Element(
                    "footnote", text if note.markdown else escaped(text), mark=name, page=page
                )


def _part(block: Block, page: int, titles: Sequence[str], usual: float) -> _Part:
    """Return a block as a part: as a heading where number, contents or size say so."""
    text = block.text
    short = len(text) <= LONGEST_HEADING and len(block.lines) <= 3
    named = (
        short
        and block.role in ("paragraph", "list", "heading")
        and (is_numbered(text) or (bool(titles) and listed(text, titles)))
    )
    large = (
        short and block.role == "paragraph" and 0 < 1.3 * usual <= block.size
        and not _END.search(text)
    )  # fmt: skip
    scene = short and len(block.lines) <= 2 and is_scene(text)
    # The mark of a note may hide from the reader that a sentence ends.
    said = block.role == "heading" and not (_POINT.search(text) and block.size < 1.3 * usual)
    if not (named or large or scene or said):
        role = "paragraph" if block.role == "heading" else block.role
        return _Part(msgspec.structs.replace(block, role=role), page)
    section = scene or is_section(text)
    if len(block.lines) > 1 and is_bare(block.lines[0].text):
        block = msgspec.structs.replace(block, lines=_numbered(block.lines[:1]) + block.lines[1:])
    return _Part(block, page, (_Heading(named, section, block.size, block.level),))


def _levels(headings: Sequence[tuple[_Heading, ...]]) -> list[int]:
    """Return the levels of the headings of a book, counted from 1 without a gap."""
    all_of_them = [each for some in headings for each in some]
    tops = [each.size for each in all_of_them if each.named]
    steps = _steps(sorted({each.size for each in all_of_them}, reverse=True))
    top = statistics.median(tops) if tops else 0.0
    found: list[int] = []
    for some in headings:
        level = min(_level(each, top, steps) for each in some)
        found.append(max(level, found[-1] + 1) if some[0].below else level)
    known = sorted(set(found))
    return [known.index(level) + 1 for level in found]


def _steps(sizes: Sequence[float]) -> list[float]:
    """Return the least size of each level, of sizes from the largest on."""
    return [a for a, b in pairwise([*sizes, 0.0]) if b < LIKE * a]


def _level(heading: _Heading, top: float, steps: Sequence[float]) -> int:
    size = heading.size
    if heading.named:
        return 1
    if not size:
        return min(6, heading.said or 1)
    level = 1 + sum(size < LIKE * step for step in steps)
    if heading.section:
        return max(2, level)
    if top:
        higher = sum(size < LIKE * step < LIKE * top for step in steps)
        return 1 if size >= LIKE * top else min(6, 2 + higher)
    return min(6, level)


def _merged_headings(parts: Iterable[_Part]) -> list[_Part]:
    """Return the parts of a page, headings in two blocks put together: a number and a title."""
    found: list[_Part] = []
    for part in parts:
        last = found[-1] if found else None
        if last and last.headings and part.headings:
            first = part.headings[0]
            bare = is_bare(last.block.text) and not first.section
            alike = LIKE <= last.block.size / (part.block.size or 1.0) <= 1 / LIKE
            alike = alike and last.headings[-1].section == first.section and not first.named
            near = part.block.box[1] - last.block.box[3] < part.block.size
            if (bare and not is_numbered(part.block.text)) or (alike and near):
                lines = _numbered(last.block.lines) if bare else last.block.lines
                block = msgspec.structs.replace(last.block, lines=lines + part.block.lines)
                found[-1] = _Part(block, last.page, last.headings + part.headings)
                continue
            below = msgspec.structs.replace(first, below=not first.named)
            part = msgspec.structs.replace(part, headings=(below,))  # noqa: PLW2901
        found.append(part)
    return found


def _numbered(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Return the lines of the number of a chapter as they stand before its title."""
    text = lines[-1].text
    end = " " if CHINESE.search(text) else "." if text[-1].isalnum() else ""
    return (*lines[:-1], msgspec.structs.replace(lines[-1], text=text + end))


def _run_on(parts: Iterable[_Part], known: Known) -> Iterator[_Part]:
    """Yield parts with paragraphs put together that go on in the next block, column or page."""
    held: list[_Part] = []  # a paragraph, and what it may go on below
    for part in parts:
        last = held[0] if held else None
        if last and (_is_rest_of_stanza(last, part) or _goes_on(last, part, known.indented)):
            block = msgspec.structs.replace(last.block, lines=last.block.lines + part.block.lines)
            held[0] = msgspec.structs.replace(last, block=block)
        elif last and part.role in ("caption", "table"):
            held.append(part)
        else:
            yield from held
            held = [part] if part.role in ("paragraph", "verse") else []
            if not held:
                yield part
    yield from held


def _is_rest_of_stanza(last: _Part, part: _Part) -> bool:
    """Whether a block on the next page goes on with a stanza that has not ended."""
    few = part.role == "verse" or (part.role == "paragraph" and len(part.block.lines) == 1)
    if last.role != "verse" or not few:
        return False
    before, after = last.block.lines[-1], part.block.lines[0]
    return part.page != last.page and after.top < before.top and not _END.search(before.text)


def _goes_on(last: _Part, part: _Part, indented: bool) -> bool:  # noqa: FBT001
    """Whether a paragraph goes on in another."""
    if not last.role == part.role == "paragraph":
        return False
    before, after = last.block.lines[-1], part.block.lines[0]
    letter = after.text.lstrip("\"'“‘(（「『")[:1]
    if ITEM.match(after.text):
        return False
    if letter.islower():
        return True
    below = (
        last.page == part.page
        and before.size > 0
        and 0 <= after.top - before.bottom < 3 * after.size
    )
    right = max(line.right for line in last.block.lines)
    word = _FIRST_WORD.match(after.text)
    room = FULL + (0.55 * len(word[0]) if word else 0.0)
    full = before.right > right - room * before.size
    if _END.search(before.text) and not ends_with_abbreviation(before.text):
        # At a border an indent alone says whether a paragraph begins.
        known = indented and before.size > 0 and len(part.block.lines) > 1
        return not below and known and full and not has_indent(part.block)
    return full and not (below and has_indent(part.block))


def _element(part: _Part, words: Counter[str]) -> Element:
    block = part.block
    kind: Kind = KINDS.get(part.role, "paragraph")
    texts = [line.text for line in block.lines]
    if part.role == "verse":
        text = "\n".join(joined(parts, words) for parts in lines_of_stanza(block.lines))
    elif kind in ("table", "code", "formula"):
        text = "\n".join(texts)
    else:
        text = joined(texts, words)
    mark = block.mark
    if kind == "list" and not block.markdown:
        found = _ITEM.match(text)
        mark, text = (found[2] or "-", text[found.end() :]) if found else ("-", text)
    if not block.markdown:
        text = escaped(text)
    text = text.replace(OPEN, "[^").replace(CLOSE, "]")
    return Element(kind, text, 0, mark or ("-" if kind == "list" else ""), part.page)
