"""Step `book-text`: the readings of a book's pages to its text, and to the passages spoken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.book import book_file, passages
from orchestrator.book.pages import Readings, book_of
from orchestrator.core.languages import language_tag
from orchestrator.core.manifest import Input
from orchestrator.core.pipelines.step_signatures import Kind, Port
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.steps.plain_text import plain_text
from orchestrator.steps.step import BuiltIn, Emit, Emits, Progress, signature

RULES = tuple(sorted(Path(book_file.__file__).parent.glob("*.py")))
"""The source of what it calls, on which its result depends."""


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    del directory
    document = values["document"]
    given = {name: values[name] for name in book_file.FIELDS if values.get(name)}
    if "language" in given:
        try:
            given["language"] = language_tag(given["language"])
        except ValueError as error:
            raise UsageError(str(error), where="language") from error
    readings = Readings(
        values.get("texts", ()), values.get("markdowns", ()), values.get("boxes", ())
    )
    book = book_of(document, readings)
    book = msgspec.structs.replace(book, **{"language": _tag(book.language), **given})
    rules = passages.Rules(
        values.get("footnotes", "skip"),
        values.get("tables", "skip") == "read",
        values.get("chapters", "auto"),
    )
    try:
        plan, texts = passages.plan(book, rules, plain_text)
    except ValueError as error:
        raise UsageError(str(error), where="chapters") from error
    if not texts:
        raise UsageError(
            "no text was found",
            where=str(document["name"]),
            fix="if its pages have letters, look at one: mm run ocr --image PAGE",
            fix_in_code="if its pages have letters, look at what ocr makes of one",
        )
    yield Emit("markdown", book_file.written(book))
    yield Emit("plan", msgspec.to_builtins(plan))
    for number, (passage, text) in enumerate(zip(plan.passages, texts, strict=True)):
        yield Progress(number, len(texts))
        start = text if len(text) <= 40 else f"{text[:39]}…"
        label = f"p. {passage.page}: {start}" if passage.page else start
        # What its letters alone say of it is left to the choice of a model.
        known = passage.language if passage.language == book.language else ""
        yield Emit("passages", text, label, known)


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
            "document": Input(type="json", required=True, help="What `book-pages` returns"),
            "texts": Input(type="text", list=True, help="The readings of its images, in order"),
            "markdowns": Input(type="text", list=True, help="The same with tables"),
            "boxes": Port(Kind("json", many=True)),
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
)
