"""Sets a book as pages, on paper (images) or as lines with their places.

What is placed are runs of text: `Run(text, x, y, size, bold)`, y being the base line; `draw` makes
an image of them, `pdf` a page of a PDF file with its text.
"""
# ruff: noqa: RUF001 - Chinese marks are full width

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

NO_START = "，。！？：；、”’）》.,;:!?)"
SERIF = "LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf"
SONG = "NotoSerifCJK-Regular.ttc", "NotoSerifCJK-Bold.ttc"
SANS = "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"
DEJAVU = "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"
HEI = "NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"
BUILT_IN = "", ""
"""The font that Pillow carries: the same on every machine."""


@dataclass(frozen=True)
class Layout:
    """How a book is set; lengths in pixels."""

    width: int = 1000
    height: int = 1400
    margin: int = 120
    size: int = 26
    leading: float = 1.4
    columns: int = 1
    gutter: int = 50
    head: tuple[str, str] = ("", "")  # of even and odd pages; {title}, {chapter} and {page}
    foot: str = ""  # {page}
    indent: float = 1.5  # ems; 0: a gap between paragraphs
    hyphens: bool = True
    chapter_size: float = 1.6
    section_size: float = 1.2
    new_page: bool = True
    contents: bool = False
    first: int = 1
    per_page_notes: bool = False
    fonts: tuple[str, str] = SERIF
    centred: bool = False  # headings, those of chapters with their numbers on a line of their own
    drop_cap: bool = False
    verse_indent: float = 2.0  # ems
    numbers: str = ""  # in the margin: "verse", "page" (of lines) or "paragraph"
    every: int = 5
    numbers_at: str = "right"  # or "left", "outer"
    worn: float = 0.0  # grey and noise of the paper, and degrees of skew


class Run(NamedTuple):
    """A piece of a line, from its left on the base line."""

    text: str
    x: float
    y: float
    size: float
    bold: bool = False


@dataclass
class Sheet:
    """A page: runs, rules (x0, y0, x1, y1), its number and where its chapter stands."""

    number: int
    runs: list[Run] = field(default_factory=list)
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)
    chapter: str = ""


@cache
def font(names: tuple[str, str], size: int, bold: bool):
    """Return a font."""
    if not names[0]:
        return ImageFont.load_default(size)
    return ImageFont.truetype(names[bold], size)


class Setter:
    """Sets one book."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.sheets: list[Sheet] = []
        self.column = layout.columns
        self.y = 0.0
        self.notes: list[tuple[str, str]] = []
        self.chapter = ""
        self.counted = 0
        self.first = False  # whether the next paragraph is the first of its chapter
        self.text_width = (
            layout.width - 2 * layout.margin - (layout.columns - 1) * layout.gutter
        ) / layout.columns

    def width(self, text: str, size: float, bold: bool = False) -> float:
        return font(self.layout.fonts, round(size), bold).getlength(text)

    @property
    def left(self) -> float:
        return self.layout.margin + self.column * (self.text_width + self.layout.gutter)

    @property
    def bottom(self) -> float:
        return self.layout.height - self.layout.margin - self._notes_height(self.notes)

    def _notes_height(self, notes) -> float:
        small = 0.72 * self.layout.size
        lines = sum(len(self.broken(f"{mark} {text}", small, 0)) for mark, text in notes)
        return lines * small * 1.3 + (0.8 * self.layout.size if notes else 0)

    def turn(self, *, column: bool = False) -> None:
        """Begin the next column, or a page."""
        if column and self.column + 1 < self.layout.columns:
            self._set_notes()
            self.column += 1
        else:
            self._set_notes()
            number = self.layout.first + len(self.sheets)
            self.sheets.append(Sheet(number, chapter=self.chapter))
            self.column = 0
            if self.layout.numbers == "page":
                self.counted = 0
        self.y = float(self.layout.margin)

    def number(self, kind: str, every: int) -> None:
        """Count a line or a paragraph that begins at `y`, and set its number in the margin."""
        if kind != self.layout.numbers:
            return
        self.counted += 1
        if self.counted % every:
            return
        small, sheet = 0.75 * self.layout.size, self.sheets[-1]
        at, margin = self.layout.numbers_at, self.layout.margin
        left = at == "left" or (at == "outer" and sheet.number % 2 == 0)
        wide = self.width(str(self.counted), small)
        x = margin - 1.2 * self.layout.size - wide if left else self.layout.width - margin + 22
        sheet.runs.append(Run(str(self.counted), x, self.y - 0.3 * self.layout.size, small))

    def _set_notes(self) -> None:
        if not self.notes:
            return
        small = 0.72 * self.layout.size
        y = self.bottom + 0.8 * self.layout.size
        self.sheets[-1].rules.append(
            (self.left, y - 0.6 * small, self.left + self.text_width / 3, y - 0.6 * small)
        )
        for mark, text in self.notes:
            for line in self.broken(f"{mark} {text}", small, 0):
                y += 1.3 * small
                self.sheets[-1].runs.append(Run(line, self.left, y - 0.3 * small, small))
        self.notes = []

    def broken(
        self, text: str, size: float, indent: float, bold: bool = False, deep: int = 1
    ) -> list[str]:
        """Return the lines of a paragraph, the first `deep` of them indented."""
        lines, line, room = [], "", self.text_width - indent
        for token in re.findall(
            r"\[\^\w+\]|[\u2e80-\uffef“”‘’]|[^\s\u2e80-\uffef“”‘’\[]+|\s+|\[", text
        ):
            if token.startswith("[^"):
                line += token
                continue
            shown = re.sub(r"\[\^(\w+)\]", "", line)
            if self.width((shown + token).rstrip(), size, bold) <= room or token in NO_START:
                line += token
                continue
            head = self._hyphenated(token, room - self.width(shown, size, bold), size, bold)
            lines.append((line + head).rstrip())
            line = token[
                len(head.rstrip("-")) if not token.startswith(head) else len(head) :
            ].lstrip()
            room = self.text_width - (indent if len(lines) < deep else 0)
        return [*lines, line.rstrip()] if line.strip() else lines

    def _hyphenated(self, word: str, room: float, size: float, bold: bool) -> str:
        """Return the beginning of a word that fits, with its hyphen; or nothing."""
        if not self.layout.hyphens or not word.isascii():
            return ""
        cuts = [m.end() for m in re.finditer(r"(?<=[A-Za-z]{2})-(?=[a-z])", word)]
        cuts += [
            m.end() for m in re.finditer(r"(?<=[a-z]{2})[aeiou](?=[bcdfgklmnprstv][a-z]{2})", word)
        ]
        for cut in sorted(cuts, reverse=True):
            head = word[:cut] if word[cut - 1] == "-" else word[:cut] + "-"
            if self.width(head, size, bold) <= room:
                return head
        return ""

    def paragraph(self, text: str, notes: dict[str, str]) -> None:
        size = self.layout.size
        step = size * self.layout.leading
        indent, deep = self.layout.indent * size, 1
        if not indent and self.y > self.layout.margin:
            self.y += 0.7 * size
        cap = self.layout.drop_cap and self.first and text[0].isalpha()
        self.first = False
        if cap:
            large, deep = 2.9 * size, 2
            indent = self.width(text[0], large) + 4
            if self.y + 2 * step > self.bottom:
                self.turn(column=True)
            self.sheets[-1].runs.append(
                Run(text[0], self.left, self.y + 2 * step - 0.3 * size, large)
            )
            text = text[1:]
        for number, line in enumerate(self.broken(text, size, indent, deep=deep)):
            marks = re.findall(r"\[\^(\w+)\]", line)
            new = [(mark, notes[mark]) for mark in marks]
            if self.y + step > self.bottom - self._notes_height(
                [*self.notes, *new]
            ) + self._notes_height(self.notes):
                self.turn(column=True)
            x = self.left + (indent if number < deep else 0)
            self.y += step
            self.number("page", self.layout.every)
            if number == 0:
                self.number("paragraph", 1)
            for part in re.split(r"(\[\^\w+\])", line):
                if mark := re.fullmatch(r"\[\^(\w+)\]", part):
                    shown = str(len(self.notes) + 1) if self.layout.per_page_notes else mark[1]
                    self.notes.append((shown, notes[mark[1]]))
                    self.sheets[-1].runs.append(Run(shown, x, self.y - 0.7 * size, 0.62 * size))
                    x += self.width(shown, 0.62 * size)
                elif part:
                    self.sheets[-1].runs.append(Run(part, x, self.y - 0.3 * size, size))
                    x += self.width(part, size)

    def verse(self, text: str) -> None:
        """Set the lines of a stanza; those that begin with spaces are indented."""
        size, step = self.layout.size, self.layout.size * self.layout.leading
        lines = text.split("\\\n")
        if self.y > self.layout.margin:
            self.y += 0.8 * size
        for line in lines:
            if self.y + step > self.bottom:
                self.turn(column=True)
            self.y += step
            x = self.left + self.layout.verse_indent * size
            x += size / 2 * (len(line) - len(line.lstrip()))
            self.sheets[-1].runs.append(Run(line.strip(), x, self.y - 0.3 * size, size))
            self.number("page", self.layout.every)
            if not line.isupper():
                self.number("verse", self.layout.every)
        self.y += 0.8 * size

    def heading(self, text: str, level: int) -> None:
        layout = self.layout
        size = layout.size * (layout.chapter_size if level == 1 else layout.section_size)
        if level == 1:
            self.chapter = text
            if layout.new_page or not self.sheets:
                self.turn()
        self.first = True
        if layout.numbers == "verse":
            self.counted = 0
        parts = re.split(r"(?<=[IVX])\. ", text) if layout.centred else [text]
        lines = [line for part in parts for line in self.broken(part, size, 0, True)]
        if self.y + 2 * len(lines) * size + 4 * layout.size > self.bottom:
            self.turn(column=True)
        if self.y > layout.margin:
            self.y += size
        for line in lines:
            self.y += 1.3 * size
            free = self.text_width - self.width(line, size, True)
            x = self.left + (free / 2 if layout.centred else 0)
            self.sheets[-1].runs.append(Run(line, x, self.y - 0.3 * size, size, True))
        self.y += 0.8 * size

    def table(self, text: str) -> None:
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.split("\n")]
        rows = [row for row in rows if not set("".join(row)) <= set("-: ")]
        size, high = self.layout.size, 1.8 * self.layout.size
        if self.y + high * (len(rows) + 1) > self.bottom:
            self.turn(column=True)
        self.y += 0.5 * size
        wide = self.text_width / len(rows[0])
        top, left = self.y, self.left
        for row in rows:
            for number, cell in enumerate(row):
                place = left + number * wide + 10
                self.sheets[-1].runs.append(Run(cell, place, self.y + 0.65 * high, size))
            self.y += high
        for k in range(len(rows) + 1):
            self.sheets[-1].rules.append(
                (left, top + k * high, left + self.text_width, top + k * high)
            )
        for k in range(len(rows[0]) + 1):
            self.sheets[-1].rules.append((left + k * wide, top, left + k * wide, self.y))
        self.y += 0.8 * size

    def caption(self, text: str) -> None:
        size = 0.85 * self.layout.size
        if self.y + 8 * size > self.bottom:
            self.turn(column=True)
        self.y += 2 * size
        self.sheets[-1].runs.append(Run(text, self.left, self.y - 0.3 * size, size))

    def heads(self, title: str) -> None:
        layout, small = self.layout, 0.85 * self.layout.size
        for sheet in self.sheets:
            words = {"title": title, "chapter": sheet.chapter, "page": sheet.number}
            head = layout.head[sheet.number % 2].format(**words)
            y = layout.margin - 1.6 * layout.size
            for place, part in zip((0.0, 1.0), (*head.split("|"), "")[:2], strict=True):
                x = layout.margin + place * (
                    layout.width - 2 * layout.margin - self.width(part, small)
                )
                if part:
                    sheet.runs.insert(0, Run(part, x, y, small))
            foot = layout.foot.format(**words)
            if foot:
                x = (layout.width - self.width(foot, small)) / 2
                sheet.runs.append(Run(foot, x, layout.height - 0.5 * layout.margin, small))


def typeset(book, layout: Layout) -> list[Sheet]:
    """Return the pages of a book."""
    setter = Setter(layout)
    notes = {each.mark: each.text for each in book.elements if each.kind == "footnote"}
    if layout.contents:
        _contents(setter, book, layout, notes)
    for element in book.elements:
        if element.kind == "heading":
            setter.heading(element.text, element.level)
        elif element.kind in ("paragraph", "list"):
            if not setter.sheets:
                setter.turn()
            if "\\\n" in element.text:
                setter.verse(element.text)
            else:
                setter.paragraph(element.text.replace("*", ""), notes)
        elif element.kind == "table":
            setter.table(element.text)
        elif element.kind == "caption":
            setter.caption(element.text)
    setter._set_notes()
    setter.heads(book.title)
    return setter.sheets


def _contents(setter: Setter, book, layout: Layout, notes) -> None:
    """Set a page of contents, with the numbers that a first setting gives."""
    from dataclasses import replace

    plain = typeset(
        book, replace(layout, contents=False, head=("", ""), foot="", first=layout.first + 1)
    )
    chinese = book.language == "zh"
    setter.heading("目录" if chinese else "Contents", 1)
    for element in book.elements:
        if element.kind == "heading" and element.level == 1:
            page = next(s.number for s in plain if s.chapter == element.text)
            size = layout.size
            dots = setter.text_width - setter.width(f"{element.text}  {page}", size)
            count = int(dots / setter.width(".", size))
            setter.y += 1.6 * size
            setter.sheets[-1].runs.append(
                Run(f"{element.text} {'.' * count} {page}", setter.left, setter.y, size)
            )
    setter.chapter = ""


def draw(sheet: Sheet, layout: Layout) -> Image.Image:
    """Return an image of a page."""
    image = Image.new("L", (layout.width, layout.height), 255)
    pen = ImageDraw.Draw(image)
    for run in sheet.runs:
        face = font(layout.fonts, round(run.size), run.bold)
        pen.text((run.x, run.y), run.text, font=face, fill=0, anchor="ls")
    for rule in sheet.rules:
        pen.line(rule, fill=0, width=2)
    return _worn(image, sheet.number, layout.worn) if layout.worn else image


def _worn(image: Image.Image, seed: int, much: float) -> Image.Image:
    """Return a page as it looks on grey paper, a little askew, with noise and a shadow."""
    random = np.random.default_rng(seed)
    turned = image.rotate(
        random.uniform(-much, much), Image.Resampling.BICUBIC, fillcolor=255
    ).filter(ImageFilter.GaussianBlur(0.7 * min(1.0, much)))
    ink = np.asarray(turned, np.float32) / 255
    down, across = ink.shape
    shadow = 1 - 0.22 * much * np.exp(-np.arange(across) / (0.12 * across))
    stains = random.normal(0, 1, (down // 40 + 1, across // 40 + 1))
    stains = np.asarray(Image.fromarray(stains.astype(np.float32)).resize((across, down)))
    paper = (205 + 6 * much * stains) * shadow
    grey = 45 + (paper - 45) * ink + random.normal(0, 9 * much, ink.shape)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def lines(sheet: Sheet, layout: Layout) -> list[tuple[str, float, float, float, float, float]]:
    """Return the lines of a page with their places, as the text layer of a PDF has them."""
    return [
        (
            run.text, run.x, run.y - 0.75 * run.size,
            run.x + font(layout.fonts, round(run.size), run.bold).getlength(run.text),
            run.y + 0.25 * run.size, run.size,
        )
        for run in sheet.runs
    ]  # fmt: skip


def pdf(path, sheets: list[Sheet], layout: Layout) -> None:
    """Write pages as a PDF with their text, in Times, whose letters are as wide as those drawn."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Bold /Encoding /WinAnsiEncoding >>",
    ]
    kids = []
    for sheet in sheets:
        parts = [
            f"BT /F{1 + run.bold} {run.size / 2:.2f} Tf {run.x / 2:.2f} "
            f"{(layout.height - run.y) / 2:.2f} Td ({_quoted(run.text)}) Tj ET"
            for run in sheet.runs
        ]
        parts += [
            f"{x0 / 2} {(layout.height - y0) / 2} m {x1 / 2} {(layout.height - y1) / 2} l S"
            for x0, y0, x1, y1 in sheet.rules
        ]
        content = "\n".join(parts)
        objects.append(
            f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream"
        )
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {layout.width / 2} {layout.height / 2}] "
            f"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {len(objects)} 0 R >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    data, places = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + text.encode("cp1252") + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer\n<< /Size {len(places) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    path.write_bytes(
        data + f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}{end}".encode()
    )


def _quoted(text: str) -> str:
    return re.sub(r"([\\()])", r"\\\1", text)
