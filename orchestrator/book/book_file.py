"""A book as a Markdown file: front matter, elements, and a comment where a page begins.

What `written` returns, `parsed` turns into the same book; it also takes Markdown of others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.book.content import Book, Element

if TYPE_CHECKING:
    from markdown_it.token import Token

FIELDS = ("title", "author", "language")
MAX_NESTING = 20
"""How deep lists and quotes may nest; what is deeper is left out."""

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(\w+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_PAGE = re.compile(r"<!-- page (\d{1,6}) -->\s*")
_NOTE = re.compile(r"^\[\^([^\]\s]+)\]:[ \t]*", re.MULTILINE)
_CAPTION = re.compile(r"\*(?![*\s])((?:[^*\\]|\\.)+)\*", re.DOTALL)
_FORMULA = re.compile(r"\$\$(.+)\$\$|\\\[(.+)\\\]", re.DOTALL)


def written(book: Book) -> str:
    """Return a book as Markdown."""
    fields = [(name, getattr(book, name)) for name in FIELDS]
    front = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields if value]
    parts = ["\n".join(["---", *front, "---"])] if front else []
    page, before = None, None
    for element in book.elements:
        if element.page is not None and element.page != page:
            page, before = element.page, None
            parts.append(f"<!-- page {page} -->")
        text = _written(element)
        if before and before.kind == element.kind == "list":
            parts[-1] += "\n" + text
        else:
            parts.append(text)
        before = element
    return "\n\n".join(parts) + "\n" if parts else ""


def _written(element: Element) -> str:
    match element.kind:
        case "heading":
            return "#" * element.level + " " + " ".join(element.text.split("\n"))
        case "list":
            indent = "\n" + " " * (len(element.mark) + 1)
            return f"{element.mark} " + element.text.replace("\n", indent)
        case "caption":
            return f"*{element.text}*"
        case "formula":
            return f"$$\n{element.text}\n$$"
        case "code":
            return f"~~~~\n{element.text}\n~~~~"
        case "footnote":
            return f"[^{element.mark}]: " + element.text.replace("\n", "\n    ")
        case _:
            return element.text


def parsed(text: str) -> Book:
    """Return the book that a Markdown file holds.

    Headings, paragraphs, items, tables, blocks of code, formulas and footnotes are elements; what
    stands in a quote is taken out of it, and rules and comments are left out.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    front = _FRONT.match(text)
    fields = dict(_FIELD.findall(front[1])) if front else {}
    known = {name: _plain(fields[name]) for name in FIELDS if name in fields}
    return Book(**known, elements=tuple(_elements(text[front.end() :] if front else text)))


def _plain(value: str) -> str:
    """Return the value of a field, in quotes or without."""
    if value[:1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            pass
    return value.strip("\"'")


def _elements(text: str) -> Iterator[Element]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table")
    parser.disable(["code", "reference", "inline", "text_join"])
    lines, page = text.split("\n"), None
    for token, number, mark in _leaves(parser.parse(text)):
        first, last = token.map or (0, 0)
        match token.type:
            case "html_block":
                if marker := _PAGE.fullmatch(token.content):
                    page = int(marker[1])
            case "heading_open":
                yield Element("heading", mark, number, page=page)
            case "fence":
                yield Element("code", token.content.rstrip("\n"), page=page)
            case "table_open":
                yield Element("table", "\n".join(lines[first:last]).strip(), page=page)
            case "item":
                yield Element("list", token.content, mark=mark, page=page)
            case _:
                yield from _paragraphs(token.content, page)


def _paragraphs(text: str, page: int | None) -> Iterator[Element]:
    """Yield a paragraph, or what it is by its first and last letters."""
    if _NOTE.match(text):
        notes = list(_NOTE.finditer(text))
        for note, end in zip(notes, [*(n.start() for n in notes[1:]), None], strict=True):
            words = text[note.end() : end].rstrip()
            yield Element("footnote", _flowing(words), mark=note[1], page=page)
    elif caption := _CAPTION.fullmatch(text):
        yield Element("caption", _flowing(caption[1]), page=page)
    elif formula := _FORMULA.fullmatch(text):
        yield Element("formula", (formula[1] or formula[2]).strip(), page=page)
    else:
        yield Element("paragraph", _flowing(text), page=page)


def _flowing(text: str) -> str:
    """Return Markdown whose lines run on, but for those that end on purpose."""
    return re.sub(r" {2,}\n", "\\\n", text)


def _leaves(tokens: Iterable[Token]) -> Iterator[tuple[Token, int, str]]:
    """Yield each block with the level of a heading, and the text of it or the mark of an item."""
    mark, in_table = "", False
    heading: Token | None = None
    for token in tokens:
        match token.type:
            case "table_open" | "html_block" | "fence":
                in_table = token.type == "table_open"
                yield token, 0, ""
            case "table_close":
                in_table = False
            case "heading_open":
                heading = token
            case "list_item_open":
                mark = f"{token.info}{token.markup}" if token.info else "-"
            case "list_item_close":
                mark = ""
            case "inline" if heading is not None:
                yield heading, int(heading.tag[1]), token.content
                heading = None
            case "inline" if not in_table:
                token.type = "item" if mark else token.type
                yield token, 0, mark
                mark = ""
