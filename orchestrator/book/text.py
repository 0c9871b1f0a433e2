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
from orchestrator.book.contents import listed, without_contents
from orchestrator.book.footnotes import CLOSE, OPEN, Note, referred, split_notes
from orchestrator.book.headings import is_numbered, is_section
from orchestrator.book.hyphens import CHINESE, joined, vocabulary
from orchestrator.book.layout import Block, Page
from orchestrator.book.running import without_running
from orchestrator.book.sentences import ends_with_abbreviation

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
_FIRST_WORD = re.compile(r"[^\s\u2e80-\uffef]+")
_ITEM = re.compile(r"\s*(?:([•·●○◦▪■–—*-])|(\d{1,3}[.)]|[a-z]\)))\s+(?=\S)")


class _Part(msgspec.Struct, frozen=True):
    """A block on its way: with its page, and the level of a heading."""

    block: Block
    page: int
    level: int = 0

    @property
    def role(self) -> str:
        return self.block.role


def elements_of(pages: Sequence[Page]) -> list[Element]:
    """Return the elements of consecutive pages, as they stood in the manuscript."""
    found = without_running([page for page in pages if page.blocks])
    words = vocabulary(line.text for page in found for line in page.lines)
    found, titles = without_contents(found)
    usual = usual_size(found)
    parts: list[_Part] = []
    notes: dict[int, list[tuple[int, Note]]] = {}
    number = 1
    for page in found:
        bare, some = split_notes(page, usual)
        bare = referred(bare, some, number)
        notes[page.number] = list(enumerate(some, start=number))
        number += len(some)
        parts += [_Part(block, page.number) for block in bare.blocks]
    parts = _dense(_merged_headings(_levelled(parts, titles, usual)))
    parts = _run_on(parts, _indented(parts))
    return list(_with_notes((_element(part, words) for part in parts), notes, words))


def usual_size(pages: Iterable[Page]) -> float:
    """Return the size of most letters; 0 where a reader gives no places."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for block in page.blocks:
            for line in block.lines if block.role != "table" else ():
                sizes[line.size] += len(line.text)
    total, seen = sum(sizes.values()), 0
    for size in sorted(sizes):
        seen += sizes[size]
        if 2 * seen >= total:
            return size
    return 0.0


def _levelled(parts: Sequence[_Part], titles: Sequence[str], usual: float) -> list[_Part]:
    """Return parts with headings known by number, contents and size, each with its level."""
    found = []
    for part in parts:
        block, text = part.block, part.block.text
        short = len(text) <= LONGEST_HEADING and len(block.lines) <= 3
        named = short and (is_numbered(text) or (bool(titles) and listed(text, titles)))
        if named and block.role in ("paragraph", "list", "heading"):
            found.append(_as_heading(part, 1))
        elif block.role == "heading" or (
            short and block.role == "paragraph" and 0 < 1.3 * usual <= block.size
            and not _END.search(text)
        ):  # fmt: skip
            found.append(_as_heading(part, 0))
        else:
            found.append(part)
    tops = [part.block.size for part in found if part.level == 1]
    sizes = sorted({part.block.size for part in found if part.role == "heading"}, reverse=True)
    steps = _steps(sizes)
    top = statistics.median(tops) if tops else 0.0
    return [
        msgspec.structs.replace(part, level=_level(part, top, steps))
        if part.role == "heading" and not part.level
        else part
        for part in found
    ]


def _dense(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts with the levels of headings counted from 1 without a gap."""
    levels = sorted({part.level for part in parts if part.role == "heading"})
    return [
        msgspec.structs.replace(part, level=levels.index(part.level) + 1)
        if part.role == "heading"
        else part
        for part in parts
    ]


def _as_heading(part: _Part, level: int) -> _Part:
    return msgspec.structs.replace(
        part, block=msgspec.structs.replace(part.block, role="heading"), level=level
    )


def _steps(sizes: Sequence[float]) -> list[float]:
    """Return the least size of each level, of sizes from the largest on."""
    return [a for a, b in pairwise([*sizes, 0.0]) if b < LIKE * a]


def _level(part: _Part, top: float, steps: Sequence[float]) -> int:
    size = part.block.size
    if not size:
        return min(6, part.block.level or 1)
    level = 1 + sum(size < LIKE * step for step in steps)
    if is_section(part.block.text):
        return max(2, level)
    if top:
        higher = sum(size < LIKE * step < LIKE * top for step in steps)
        return 1 if size >= LIKE * top else min(6, 2 + higher)
    return min(6, level)


def _merged_headings(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts with headings put together that stand in two blocks: a number and a title."""
    found: list[_Part] = []
    for part in parts:
        last = found[-1] if found else None
        if last and last.role == part.role == "heading" and last.page == part.page:
            bare = is_numbered(last.block.text) and not re.search(r"[.:：]\s*\S", last.block.text)
            bare = bare and len(last.block.text.split()) <= 3
            alike = LIKE <= last.block.size / (part.block.size or 1.0) <= 1 / LIKE
            if (bare and not is_numbered(part.block.text)) or (alike and last.level == part.level):
                lines = last.block.lines
                if bare and not CHINESE.search(lines[-1].text) and lines[-1].text[-1].isalnum():
                    ended = msgspec.structs.replace(lines[-1], text=lines[-1].text + ".")
                    lines = (*lines[:-1], ended)
                elif bare and CHINESE.search(lines[-1].text):
                    lines = (
                        *lines[:-1],
                        msgspec.structs.replace(lines[-1], text=lines[-1].text + " "),
                    )
                block = msgspec.structs.replace(last.block, lines=lines + part.block.lines)
                found[-1] = msgspec.structs.replace(
                    last, block=block, level=min(last.level, part.level)
                )
                continue
        found.append(part)
    return found


def _indented(parts: Sequence[_Part]) -> bool:
    """Whether the paragraphs of a book begin with an indent."""
    known = [_has_indent(part.block) for part in parts
             if part.role == "paragraph" and len(part.block.lines) > 2]  # fmt: skip
    return sum(known) * 2 > len(known)


def _has_indent(block: Block) -> bool:
    first, *others = block.lines
    return bool(others) and first.left > min(line.left for line in others) + 0.6 * first.size


def _run_on(parts: Sequence[_Part], indented: bool) -> list[_Part]:  # noqa: FBT001
    """Return parts with paragraphs put together that go on in the next block, column or page."""
    found: list[_Part] = []
    for part in parts:
        place = len(found) - 1
        while place >= 0 and found[place].role in ("caption", "table"):
            place -= 1  # a paragraph may go on below
        last = found[place] if place >= 0 else None
        if last and last.role == part.role == "paragraph" and _goes_on(last, part, indented):
            block = msgspec.structs.replace(last.block, lines=last.block.lines + part.block.lines)
            found[place] = msgspec.structs.replace(last, block=block)
        else:
            found.append(part)
    return found


def _goes_on(last: _Part, part: _Part, indented: bool) -> bool:  # noqa: FBT001
    """Whether a paragraph goes on in another."""
    before, after = last.block.lines[-1], part.block.lines[0]
    letter = after.text.lstrip("\"'“‘(（「『")[:1]
    if _ITEM.match(after.text):
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
        return not below and known and full and not _has_indent(part.block)
    return full and not (below and _has_indent(part.block))


def _element(part: _Part, words: Counter[str]) -> Element:
    block = part.block
    kind: Kind = KINDS.get(block.role, "paragraph")
    texts = [line.text for line in block.lines]
    text = "\n".join(texts) if kind in ("table", "code", "formula") else joined(texts, words)
    mark = block.mark
    if kind == "list" and not block.markdown:
        found = _ITEM.match(text)
        mark, text = (found[2] or "-", text[found.end() :]) if found else ("-", text)
    if not block.markdown:
        text = escaped(text)
    text = text.replace(OPEN, "[^").replace(CLOSE, "]")
    return Element(kind, text, part.level, mark or ("-" if kind == "list" else ""), part.page)


def _with_notes(
    elements: Iterable[Element], notes: dict[int, list[tuple[int, Note]]], words: Counter[str]
) -> Iterator[Element]:
    """Yield elements, each followed by the notes that it refers to."""
    known = {str(number): (page, note) for page, some in notes.items() for number, note in some}
    for element in elements:
        yield element
        for name in re.findall(r"\[\^(\d+)\]", element.text):
            if name in known:
                page, note = known.pop(name)
                text = joined([line.text for line in note.lines], words)
                yield Element(
                    "footnote", text if note.markdown else escaped(text), mark=name, page=page
                )
