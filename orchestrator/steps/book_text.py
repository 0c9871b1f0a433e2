"""Step `book-text`: the readings of a book's pages to its text, and to the passages spoken.

Passages are given while pages come in; what is given does not depend on when they come.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.book import book_file, passages
from orchestrator.book.pages import BookReader, Readings
from orchestrator.core.languages import language_of, language_tag
from orchestrator.core.manifest import Input
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps.plain_text import plain_text
from orchestrator.steps.step import BuiltIn, Emit, Emits, Progress, growing, signature

RULES = tuple(sorted(Path(book_file.__file__).parent.glob("*.py")))
"""The source of what it calls, on which its result depends."""


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    del directory
    given = {name: values[name] for name in book_file.FIELDS if values.get(name)}
    if "language" in given:
        try:
            given["language"] = language_tag(given["language"])
        except ValueError as error:
            raise UsageError(str(error), where="language") from error
    try:
        rules = passages.Rules(
            values.get("footnotes", "skip"),
            values.get("tables", "skip") == "read",
            values.get("chapters", "auto"),
        )
    except ValueError as error:
        raise UsageError(str(error), where="chapters") from error
    lists = (values.get(name, ()) for name in ("texts", "markdowns", "boxes"))
    document = iter(values["document"])
    name = next(document)
    reader = BookReader(itertools.chain([name], document), Readings(*lists))
    elements = reader.elements()
    speak = cache(plain_text)
    early = 0
    if name.get("pages") != 0:  # without pages all of it comes at once, and can be counted
        for element, text in passages.first_texts(elements, rules, speak):
            early += 1
            known = given.get("language") or _tag(reader.language)
            yield _passage(text, element.page, known)
    deque(elements, maxlen=0)
    book = reader.book()
    book = msgspec.structs.replace(book, **{"language": _tag(book.language), **given})
    plan, texts = passages.plan(book, rules, speak)
    if not texts:
        raise UsageError(
            "no text was found",
            where=book.title,
            fix="if its pages have letters, look at one: mm run ocr --image PAGE",
            fix_in_code="if its pages have letters, look at what ocr makes of one",
        )
    if lost := passages.chapters_lost(plan, rules, speak):
        yield Emit("", f"chapters left out, as no page is theirs: {', '.join(lost)}")
    yield Emit("markdown", book_file.written(book))
    yield Emit("plan", msgspec.to_builtins(plan))
    for number, (passage, text) in enumerate(zip(plan.passages, texts, strict=True)):
        if number >= early:
            yield Progress(number + 1, len(texts))
            yield _passage(text, passage.page, book.language)


def _passage(text: str, page: int | None, language: str) -> Emit:
    start = text if len(text) <= 40 else f"{text[:39]}…"
    label = f"p. {page}: {start}" if page else start
    # What its letters alone say of it is left to the choice of a model.
    known = language if language_of(text, language) == language else ""
    return Emit("passages", text, label, known)


def _tag(text: str) -> str:
    """Return the language that a file says of itself, which may be anything."""
    try:
        return language_tag(text)
    except ValueError:
        return ""


STEP = BuiltIn(
    signature(
        "book-text",
        {
            "document": growing(
                Input(type="json", list=True, required=True, help="What `book-pages` returns")
            ),
            "texts": growing(
                Input(type="text", list=True, help="The readings of its images, in order")
            ),
            "markdowns": growing(Input(type="text", list=True, help="The same with tables")),
            "boxes": growing(Input(type="json", list=True, help="Their lines with places")),
            "title": Input(type="text", help="Instead of the one that was found"),
            "author": Input(type="text"),
            "language": Input(type="text", help="A tag, such as en"),
            "footnotes": Input(type="choice", choices=("skip", "end", "inline")),
            "tables": Input(type="choice", choices=("skip", "read")),
            "chapters": Input(type="text", help="auto, pages, or lines of PAGE TITLE"),
        },
        markdown="text",
        passages="[text]",
        plan="json",
    ),
    _run,
    packages=("markdown-it-py", "msgspec"),
    programs=(*RULES, Path(__file__).with_name("plain_text.py")),
    gaps=True,
)
