"""Running heads and page numbers, known by their repetition over pages.

Only what stands highest or lowest on a page is looked at, so that no line of the text is lost that
happens to repeat.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice

import msgspec

from orchestrator.book.headings import is_numbered, page_number
from orchestrator.book.layout import Line, Page

NEAR = 8
"""Pages within which a head repeats."""
AHEAD = 4
"""Pages behind a page that are known when it is decided."""
ALIKE = 0.8
"""The ratio of similarity above which two heads are one: readers make mistakes."""
SAME_PLACE = 0.025
"""Of the height of a page: what stands in one place."""
LARGER = 1.25
"""Times the usual size: what is larger is a heading."""
LARGEST = 1.4
"""Times the size of the text: what is larger is a heading, even if it repeats."""
APART = 1.15
"""Times the usual distance of lines: what stands closer to others is a line of the text."""
ROUNDS = 2
"""How many rows may be taken off each end of a page."""

_NUMBER = r"\d{1,4}|[ivxlcdm]{1,8}"
_ALONE = re.compile(
    rf"\W*(?:(?:page|seite|p\.|第)\s*)?({_NUMBER})(?:\s*(?:/|of|von|共)\s*\d{{1,4}})?\s*页?頁?\W*",
    re.IGNORECASE,
)
_AT_START = re.compile(rf"\W*({_NUMBER})[\s\W]+(?=\S)", re.IGNORECASE)
_AT_END = re.compile(rf"(?<=\S)[\s\W]+({_NUMBER})\W*$", re.IGNORECASE)


class _Candidate(msgspec.Struct, frozen=True):
    """A line at an end of a page.

    Attributes:
        page: The index of its page.
        line: The line.
        top: Whether it is at the upper end.
        place: Its y, as a part of the height of pages.
        key: What repeats of it; empty for a number alone.
        number: The number at one of its ends, if any.
    """

    page: int
    line: Line
    top: bool
    place: float
    key: str
    number: int | None


def cleaned(pages: Iterable[Page]) -> Iterator[tuple[Page, Sequence[Page]]]:
    """Yield pages without running heads and page numbers, each with those behind it.

    A page is decided by the `NEAR` pages before it and the `AHEAD` behind it, and by the headings
    of all pages up to there. What is left out of the pages behind it is not final.
    """
    window: list[Page] = []
    titles: dict[str, float] = {}
    at, source = 0, iter(pages)
    while True:
        for page in islice(source, AHEAD + 1 + at - len(window)):
            window.append(page)
            for key, size in _titles(page):
                titles[key] = max(size, titles.get(key, 0.0))
        if at == len(window):
            return
        found = without_running(window, tuple(titles.items()))
        yield found[at], found[at + 1 :]
        at += 1
        if at > NEAR:
            del window[0]
            at -= 1


def _titles(page: Page) -> Iterator[tuple[str, float]]:
    """Yield what the headings of a page are known by in running heads, and their sizes."""
    for block in page.blocks:
        if block.role == "heading" and (key := _key(block.text)[0]):
            yield key, block.size


def without_running(pages: Sequence[Page], titles: Sequence[tuple[str, float]] = ()) -> list[Page]:
    """Return pages without running heads and page numbers.

    Every line at an end of a page is left out that repeats near by at the same place, its number
    advancing with the pages, and what stands beside or in the place of such a line.

    Args:
        pages: Consecutive pages.
        titles: The keys of the headings of the book, and the size of each.
    """
    found = list(pages)
    for _ in range(ROUNDS):
        candidates = list(_candidates(found))
        running = _running(candidates, titles, found)
        if not running:
            break
        found = [_without(page, running.get(index, [])) for index, page in enumerate(found)]
    return [_without(page, _numbers_by_role(page)) for page in found]


def _numbers_by_role(page: Page) -> list[Line]:
    blocks = (block for block in page.blocks if block.role == "page-number")
    return [line for block in blocks for line in block.lines]


def _candidates(pages: Sequence[Page]) -> Iterator[_Candidate]:
    height = max((line.bottom for page in pages for line in page.lines), default=1.0) or 1.0
    for index, page in enumerate(pages):
        lines = page.lines
        if not lines:
            continue
        placed = any(line.size for line in lines)
        ends = (min(line.middle for line in lines), max(line.middle for line in lines))
        step = page.step
        for end, top in zip(ends, (True, False), strict=True):
            for line in lines:
                near = 0.6 * line.size if placed else 0.1
                if abs(line.middle - end) <= near and _is_apart(line, lines, step):
                    place = line.middle / height if placed else float(not top)
                    yield _Candidate(index, line, top, place, *_key(line.text))


def _is_apart(line: Line, lines: Sequence[Line], step: float) -> bool:
    """Whether a line stands farther from the next one, up or down, than lines of a text do."""
    if _ALONE.fullmatch(line.text):
        return True
    beside = (
        abs(other.middle - line.middle)
        for other in lines
        if min(line.right, other.right) > max(line.left, other.left) and other is not line
    )
    return min(beside, default=step * APART + 1) > APART * step


def _key(text: str) -> tuple[str, int | None]:
    """Return what repeats of a head, and the number at one of its ends."""
    if alone := _ALONE.fullmatch(text):
        return "", page_number(alone[1])
    for pattern in (_AT_START, _AT_END):
        match = pattern.search(text) if pattern is _AT_END else pattern.match(text)
        value = page_number(match[1]) if match else None
        if match and value is not None:
            return _folded(text[: match.start()] + text[match.end() :]), value
    return _folded(text), None


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def _names(candidate: _Candidate, titles: Sequence[tuple[str, float]]) -> bool:
    """Whether a line is a heading of the book, set smaller."""
    larger = (key for key, size in titles if candidate.line.size * LARGER < size)
    return bool(candidate.key) and any(_alike(candidate.key, key) for key in larger)


@lru_cache(maxsize=1 << 16)
def _alike(one: str, other: str) -> bool:
    """Whether two heads are the same but for mistakes of a reader."""
    if 2 * min(len(one), len(other)) < ALIKE * (len(one) + len(other)):
        return False
    return one == other or SequenceMatcher(None, one, other).ratio() >= ALIKE


def _running(
    candidates: Sequence[_Candidate], titles: Sequence[tuple[str, float]], pages: Sequence[Page]
) -> dict[int, list[Line]]:
    """Return the lines that are running heads or page numbers, by the index of their page."""
    count = len(pages)
    usual = statistics.median([each.line.size for each in candidates] or [0.0])
    body = statistics.median([line.size for page in pages for line in page.lines] or [0.0])
    needed = 2 if count > 4 else 1
    of_page: dict[int, list[_Candidate]] = {}
    for each in candidates:
        of_page.setdefault(each.page, []).append(each)

    def is_sure(one: _Candidate) -> bool:
        near = (
            other
            for page in range(one.page - NEAR, one.page + NEAR + 1)
            for other in of_page.get(page, ())
        )
        repeated = sum(_repeats(one, other) for other in near)
        return repeated >= needed or _names(one, titles)

    sure = [is_sure(each) for each in candidates]
    bands: dict[bool, list[float]] = {True: [], False: []}
    for each, known in zip(candidates, sure, strict=True):
        if known:
            bands[each.top].append(each.place)
    for band in bands.values():
        band.sort()
    found: dict[int, list[Line]] = {}
    for each, known in zip(candidates, sure, strict=True):
        band, reach = bands[each.top], SAME_PLACE / 2
        beside = bisect_right(band, each.place + reach) - bisect_left(band, each.place - reach)
        # A short head is on one page of its chapter alone; the band says what it is.
        in_band = each.line.size > 0 and beside > max(1, count // 3)
        small = each.line.size <= LARGEST * body
        if small and (known or (in_band and each.line.size <= LARGER * usual)):
            found.setdefault(each.page, []).append(each.line)
    return found


def _repeats(one: _Candidate, other: _Candidate) -> bool:
    """Whether two lines on different pages are the same head, or numbers of one counting."""
    apart = other.page - one.page
    if not 0 < abs(apart) <= NEAR or one.top != other.top:
        return False
    if abs(one.place - other.place) > SAME_PLACE:
        return False
    counting = (
        None not in (one.number, other.number) and (other.number or 0) - (one.number or 0) == apart
    )
    if counting and abs(apart) == 1 and _at_start(one) != _at_start(other):
        return True  # heads of facing pages
    if max(one.line.size, other.line.size) > LARGER * min(one.line.size, other.line.size):
        return False
    if not one.key or not other.key:
        return not one.key and not other.key and counting
    if one.number != other.number and not counting:
        return False
    if not counting and one.number is not None and not (one.top or is_numbered(one.line.text)):
        return False  # a note, which begins with its mark
    if one.number is not None and is_numbered(one.line.text) and counting and abs(apart) == 1:
        return False  # chapters of a page each
    return _alike(one.key, other.key)


def _at_start(candidate: _Candidate) -> bool:
    return _AT_START.match(candidate.line.text) is not None


def _without(page: Page, lines: Sequence[Line]) -> Page:
    if not lines:
        return page
    left = []
    for block in page.blocks:
        kept = tuple(line for line in block.lines if not any(line is each for each in lines))
        if kept:
            left.append(msgspec.structs.replace(block, lines=kept))
    return Page(page.number, tuple(left))
