"""The plan of a spoken book: what `book-text` returns and `audiobook` reads, as JSON."""

from __future__ import annotations

import msgspec


class Chapter(msgspec.Struct, frozen=True):
    """A chapter: its title, and the index of its first passage."""

    title: str
    first: int


class Passage(msgspec.Struct, frozen=True):
    """What is spoken in one go.

    Attributes:
        chapter: The index of its chapter.
        kind: What it is: the kind of an element, such as `heading`.
        pause: Seconds of silence after it.
        page: The page on which it begins, counted from 1; None where there are no pages.
        language: A BCP 47 tag; empty where it is not known. Passages of one have one voice.
        text: What is spoken, where the plan holds it.
    """

    chapter: int = 0
    kind: str | None = None
    pause: float = 0.5
    page: int | None = None
    language: str | None = None
    text: str | msgspec.UnsetType = msgspec.UNSET


class Plan(msgspec.Struct, frozen=True):
    """A book before it is spoken; its passages are in the order of the sounds."""

    title: str | None = None
    author: str | None = None
    language: str | None = None
    chapters: tuple[Chapter, ...] = ()
    passages: tuple[Passage, ...] = ()
