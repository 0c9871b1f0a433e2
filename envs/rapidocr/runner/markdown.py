"""Writes blocks as Markdown (CommonMark, with tables as GitHub has them)."""
# ruff: noqa: RUF001 - dashes of all lengths begin items

import re

from .columns import BULLET
from .script import joined
from .tables import has_head
from .text import cell_text

SPECIAL = re.compile(r"[\\`*]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[:])|~(?=~)")
BEGIN = re.compile(r"^(\d{0,9})(>|(?:[#+=-]|(?<=\d)[.)])(?!\w))")
POINT = re.compile(r"[•·●○◦▪■□◆※*–—-]\s*")
NUMBER = re.compile(r"(\d{1,2})([.)])\s*")


def as_markdown(blocks):
    """Returns the blocks of a page as Markdown."""
    return "\n\n".join(filter(None, map(written, blocks)))


def written(block):
    """Returns one block as Markdown."""
    if block.role == "table":
        return table(block.rows[0])
    if block.role == "list":
        return "\n".join(items(block))
    text = prose(block.texts, block.breaks)
    if block.role == "heading":
        return "#" * block.level + " " + re.sub(r"\\?\n", " ", text)
    return text


def prose(texts, breaks):
    """Returns lines as one, but for those that end on purpose, or within a word."""
    text = ""
    for printed, before in zip(texts, [None, *breaks], strict=False):
        line = escaped(printed)
        if not text:
            text = unmarked(line)
        elif before or text[-1] in "-\u2010\u00ad":
            text += ("\\\n" if before else "\n") + unmarked(line)
        else:
            text = joined(text, line)
    return text


def escaped(text):
    """Returns text with a backslash before what would be a mark of Markdown."""
    return SPECIAL.sub(r"\\\g<0>", text)


def unmarked(line):
    """Returns a line that does not begin as a heading, a quote or an item does."""
    return BEGIN.sub(r"\1\\\2", line, count=1)


def items(block):
    """Returns the lines of a list, each item with those that run on."""
    starts = [k for k, text in enumerate(block.texts) if BULLET.match(text)]
    for first, end in zip(starts, [*starts[1:], len(block.texts)], strict=True):
        texts = block.texts[first:end]
        number = NUMBER.match(texts[0])
        mark = f"{number[1]}{number[2]}" if number else "-"
        texts[0] = texts[0][number.end() :] if number else POINT.sub("", texts[0], count=1)
        text = prose(texts, block.breaks[first : end - 1])
        yield f"{mark} " + text.replace("\n", "\n" + " " * (len(mark) + 1))


def table(table):
    """Returns a table; where its first row is no head, the head is empty, as there must be one."""
    rows = [
        [escaped(cell_text(cell.boxes) if cell else "").replace("|", "\\|")
         for cell in row]
        for row in table.grid()
    ]  # fmt: skip
    if not has_head(table):
        rows.insert(0, [""] * len(rows[0]))
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
