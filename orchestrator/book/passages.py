"""What of a book is spoken: passages with their chapters, pauses and languages."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Literal

import msgspec

from orchestrator.book.content import Book, Element
from orchestrator.book.sentences import pieces
from orchestrator.book.spoken_plan import Chapter, Passage, Plan
from orchestrator.core.languages import language_of

MOST = 600
"""Characters of a passage."""

PAUSES = {"chapter": 1.6, "heading": 1.0, "paragraph": 0.6, "list": 0.35, "table": 0.5,
          "caption": 0.6, "formula": 0.5, "code": 0.5, "footnote": 0.6}  # fmt: skip
"""Seconds of silence after each kind; within a paragraph it is `WITHIN`."""

WITHIN = 0.25
BEFORE_CHAPTER = 2.5

_REFERENCE = re.compile(r"\[\^([^\]\s]+)\]")
_RAISED = re.compile('(?<=[.,;:!?。，；：！？"”’」』])[⁰¹²³⁴⁵⁶⁷⁸⁹]+')
"""A mark whose note was not found; not the square of m²."""
_SOFT = re.compile(r"(?<!\\)\n")

Notes = Literal["skip", "end", "inline"]
Speak = Callable[[str], str]


class Rules(msgspec.Struct, frozen=True):
    """What is spoken.

    Attributes:
        footnotes: Whether notes are left out, spoken at the end of their chapter, or where they are
            referred to.
        tables: Whether tables, formulas and code are read; else they are left out.
        chapters: "auto", "pages", or lines of the form `PAGE TITLE`.
    """

    footnotes: Notes = "skip"
    tables: bool = False
    chapters: str = "auto"

    def __post_init__(self) -> None:
        """Check the list of chapters.

        Raises:
            ValueError: With the line that names no page and title, or a page again.
        """
        if self.chapters not in ("auto", "pages"):
            chapter_list(self.chapters)

    @property
    def silent(self) -> tuple[str, ...]:
        """The kinds of which nothing is spoken."""
        return () if self.tables else ("table", "formula", "code")


def first_texts(
    elements: Iterable[Element], rules: Rules, speak: Speak
) -> Iterator[tuple[Element, str]]:
    """Yield the first texts of a plan, each with its element, while the elements come in.

    It goes on until a note is not spoken right where it stands, as it does on pages: then the
    elements that come later decide, and the levels of headings. Arguments are as for `plan`.
    """
    if rules.footnotes == "end":
        return
    due: list[str] = []
    for element in elements:
        if element.kind in rules.silent or (
            element.kind == "footnote" and rules.footnotes == "skip"
        ):
            continue
        if due[:1] != ([element.mark] if element.kind == "footnote" else []):
            return
        due = due[1:]
        if rules.footnotes == "inline" and element.kind != "footnote":
            due = list(dict.fromkeys(_REFERENCE.findall(element.text)))
        for part in _passages(element, speak):
            yield element, part


def plan(book: Book, rules: Rules, speak: Speak) -> tuple[Plan, list[str]]:
    """Return the plan of a book and the texts of its passages.

    Args:
        book: The book.
        rules: What is spoken.
        speak: Returns what is read aloud of Markdown.
    """
    texts: list[str] = []
    chapters: list[Chapter] = []
    passages: list[Passage] = []
    for title, elements in _chapters(book, rules):
        first = len(texts)
        for element in _in_order(elements, rules.footnotes):
            parts = _passages(element, speak)
            for number, part in enumerate(parts, start=1):
                pause = PAUSES[element.kind] if number == len(parts) else WITHIN
                if element.kind == "heading" and element is elements[0]:
                    pause = PAUSES["chapter"]
                texts.append(part)
                language = language_of(part, book.language)
                passages.append(Passage(len(chapters), element.kind, pause, element.page, language))
        if len(texts) > first:
            passages[-1] = msgspec.structs.replace(passages[-1], pause=BEFORE_CHAPTER)
            chapters.append(Chapter(_title(title, speak), first))
    language = book.language or language_of(" ".join(texts), "")
    return Plan(book.title, book.author, language, tuple(chapters), tuple(passages)), texts


def _passages(element: Element, speak: Speak) -> list[str]:
    """Return the passages of an element; each line of verse is one."""
    words = _spoken(element, speak)
    lines = [words] if element.kind in ("table", "code") else words.split("\n")
    return [part for line in lines for part in pieces(line, MOST)]


def _spoken(element: Element, speak: Speak) -> str:
    """Return what is read aloud of an element; its lines run on where they do so in Markdown."""
    if element.kind == "formula":
        return speak(f"$${element.text}$$")
    if element.kind in ("table", "code"):
        return speak(element.text)
    text = _SOFT.sub(" ", re.sub(r"(?<=[\u2e80-\uffef])\n(?=[\u2e80-\uffef])", "", element.text))
    words = _RAISED.sub("", speak(_REFERENCE.sub("", text)))
    number = element.mark.rstrip(".)")
    return f"{element.mark} {words}" if element.kind == "list" and number.isalnum() else words


def _in_order(elements: Iterable[Element], notes: Notes) -> Iterator[Element]:
    """Yield the elements of a chapter as they are spoken, notes where they are wanted."""
    known = [each for each in elements if each.kind == "footnote"]
    for element in elements:
        if element.kind == "footnote":
            continue
        yield element
        if notes == "inline":
            for mark in dict.fromkeys(_REFERENCE.findall(element.text)):
                note = next((each for each in known if each.mark == mark), None)
                if note is not None:
                    known.remove(note)
                    yield note
    if notes != "skip":
        yield from known


def chapter_level(elements: Iterable[Element]) -> int:
    """Return down to which level headings begin chapters: the first that has more than one."""
    levels = sorted(each.level for each in elements if each.kind == "heading")
    for level, some in groupby(levels):
        if len(list(some)) > 1:
            return level
    return levels[0] if levels else 0


def _chapters(book: Book, rules: Rules) -> Iterator[tuple[str, list[Element]]]:
    """Yield the chapters with their titles, in order, without what is not spoken at all."""
    elements = [each for each in book.elements if each.kind not in rules.silent]
    begins = _beginnings(elements, rules.chapters)
    starts = sorted({0, *begins})
    for start, end in zip(starts, [*starts[1:], len(elements)], strict=True):
        if elements[start:end]:
            yield begins.get(start) or book.title or "…", elements[start:end]


def chapters_lost(plan: Plan, rules: Rules, speak: Speak) -> list[str]:
    """Return the lines of a list of chapters that none of a plan's chapters comes from."""
    if rules.chapters in ("auto", "pages"):
        return []
    titles = {each.title for each in plan.chapters}
    wanted = chapter_list(rules.chapters).items()
    return [f"{page} {title}" for page, title in wanted if _title(title, speak) not in titles]


def _title(text: str, speak: Speak) -> str:
    return " ".join(speak(text).split())


def _beginnings(elements: list[Element], chapters: str) -> dict[int, str]:
    """Return the titles of chapters by the index of the element that begins each."""
    if chapters == "auto":
        level = chapter_level(elements)
        return {
            index: each.text
            for index, each in enumerate(elements)
            if each.kind == "heading" and each.level <= level
        }
    found: dict[int, str] = {}
    wanted = chapter_list(chapters) if chapters != "pages" else None
    last = None
    for index, each in enumerate(elements):
        if each.page is None or each.page == last or each.kind == "footnote":
            continue
        if wanted is None:
            found[index] = str(each.page)
        else:
            due = [page for page in wanted if page <= each.page]
            if due:
                found[index] = [wanted.pop(page) for page in sorted(due)][-1]
        last = each.page
    return found


def chapter_list(text: str) -> dict[int, str]:
    """Return the titles of a list of chapters by their pages.

    Raises:
        ValueError: With the line that names no page and title, or a page again.
    """
    found: dict[int, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        page, _, title = line.partition(" ")
        if not (page.isascii() and page.isdigit() and title.strip()):
            raise ValueError(f"{line!r} is no page and title, such as: 12 The sea")
        if int(page) in found:
            raise ValueError(f"{line!r}: a chapter of this page stands above")
        found[int(page)] = title.strip()
    if not found:
        raise ValueError("it names no chapter")
    return found
