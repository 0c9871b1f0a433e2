"""XHTML as the elements of a book; how it looks is left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from orchestrator.book.content import Element, Kind, escaped

HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = frozenset(
    {"p", "div", "section", "article", "blockquote", "li", "dt", "dd", "figcaption", "caption"}
    | {"aside", "pre", "td", "th", "body", "table", "tr", "ul", "ol", "figure", "hr", "header"}
    | {"footer", "main", *HEADINGS}
)
"""What begins and ends a block of text."""
SILENT = frozenset({"head", "script", "style", "nav", "svg", "audio", "video", "rt", "rp", "math"})
"""Whose content is not text of the book."""
NOTES = frozenset({"footnote", "rearnote", "endnote", "note"})


def elements_of_xhtml(text: str, file: str) -> list[Element]:
    """Return the elements of a document.

    A note is named `FILE#ID`, and so are references to it.

    Args:
        text: XHTML.
        file: What links call the document.
    """
    parser = _Parser(file)
    parser.feed(text)
    parser.close()
    parser.end_block()
    return parser.elements


class _Parser(HTMLParser):
    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._file = file
        self._text = ""
        self._open: list[str] = []
        self._silent = 0
        self._note = ""
        self._note_depth = 0
        self._rows: list[list[str]] | None = None
        self._numbers: list[int] = []
        self._item = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        kinds = {*values.get("epub:type", "").split(), values.get("role", "").removeprefix("doc-")}
        if tag in SILENT:
            self._silent += 1
            if tag == "math" and values.get("alttext"):
                self._text += f"${values['alttext']}$"
        if self._silent:
            return
        if tag in BLOCKS:
            self.end_block()
            self._open.append(tag)
            self._begin(tag)
            if kinds & NOTES and not self._note:
                self._note = f"{self._file}#{values.get('id', '')}"
                self._note_depth = len(self._open)
        elif tag == "br":
            self._text += "\n"
        elif tag == "a" and "noteref" in kinds:
            self._text += f"\ue000{self._target(values.get('href', ''))}\ue001"
            self._silent += 1
            self._open.append("a noteref")

    def _begin(self, tag: str) -> None:
        """Begin a table, a row, a list or an item."""
        if tag == "table":
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("ul", "ol"):
            self._numbers.append(0 if tag == "ol" else -1)
        elif tag == "li" and self._numbers:
            if self._numbers[-1] >= 0:
                self._numbers[-1] += 1
            self._item = f"{self._numbers[-1]}." if self._numbers[-1] > 0 else "-"

    def _target(self, href: str) -> str:
        file, _, name = href.partition("#")
        return f"{file.rpartition('/')[2] or self._file}#{name}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "hr"):
            self.handle_starttag(tag, attrs)
            if tag == "hr":
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open and self._open[-1] == "a noteref":
            self._open.pop()
            self._silent -= 1
            return
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
            return
        if self._silent or tag not in self._open:
            return
        self.end_block()
        if tag == "table" and self._rows is not None:
            self._end_table()
        if tag in ("ul", "ol") and self._numbers:
            self._numbers.pop()
        while self._open.pop() != tag:
            pass
        if self._note and len(self._open) < self._note_depth:
            self._note = ""

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if "pre" in self._open:
            self._text += data
        else:
            data = re.sub(r"[ \t\r\n\f]+", " ", data)
            self._text += data.lstrip() if not self._text or self._text[-1] in " \n" else data

    def end_block(self) -> None:
        """Make an element of the text that has come, if there is any."""
        text, self._text = self._text.strip("\n" if "pre" in self._open else None), ""
        inner = self._open[-1] if self._open else ""
        if self._rows is not None and inner in ("td", "th", "p") and text and self._rows:
            self._rows[-1].append(" ".join(text.split()))
            return
        if not text.strip():
            return
        kind: Kind = "paragraph"
        level, mark = 0, ""
        if self._note:
            kind, mark = "footnote", self._note
        elif inner in HEADINGS:
            kind, level, text = "heading", HEADINGS[inner], " ".join(text.split())
        elif inner == "pre":
            kind = "code"
        elif inner in ("figcaption", "caption"):
            kind = "caption"
        elif "li" in self._open and self._item:
            kind, mark, self._item = "list", self._item, ""
        lines = re.sub(r" *\n *", "\n", text)
        words = text if kind == "code" else escaped(lines)
        if kind == "footnote" and self.elements and self.elements[-1].mark == mark:
            words = f"{self.elements.pop().text} {words}"
        words = re.sub("\ue000([^\ue001]*)\ue001", r"[^\1]", words)
        self.elements.append(Element(kind, words, level, mark))

    def _end_table(self) -> None:
        rows, self._rows = [row for row in self._rows or () if row], None
        if not rows:
            return
        wide = max(map(len, rows))
        cells = [
            [escaped(cell).replace("|", "\\|") for cell in row] + [""] * (wide - len(row))
            for row in rows
        ]
        cells.insert(1, ["---"] * wide)
        text = "\n".join(f"| {' | '.join(row)} |" for row in cells)
        self.elements.append(Element("table", text))
