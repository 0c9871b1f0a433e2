"""A text cut into the pieces that are spoken in one go."""
# ruff: noqa: RUF001 - marks that look alike are what this is about

import re
import unicodedata
from typing import NamedTuple

from .text import is_spoken

END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？｡]+["'”’」』）]*""")
CLAUSE = re.compile(r"[,;:–—]\s|[，、；：]")
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘„«])(?:[^\W\d_]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|cf|etc|No|Nr|bzw|usw|Mme|Mlle|Sra|Dra)$"
)
"""What stands before a full stop that ends no sentence."""
PACE = {"HANGUL": 2.6, "HIRAGANA": 1.9, "KATAKANA": 1.9, "CJK": 3.0}
"""Frames that a character takes at the usual pace, by the first word of its Unicode name."""
LETTER, DIGIT, OTHER = 0.9, 4.0, 0.4
"""The same for other letters, for digits, and for marks and spaces."""


class Piece(NamedTuple):
    """What is spoken in one go."""

    text: str
    frames: float
    """The length at the usual pace."""
    pause: str
    """What kind of pause follows."""


def frames_of(text):
    """Returns the frames that the text takes at the usual pace."""
    return sum(map(pace, text))


def pace(character):
    if character.isascii():
        return LETTER if character.isalpha() else DIGIT if character.isdigit() else OTHER
    if character.isalpha():
        return PACE.get(unicodedata.name(character, "").split(" ")[0].split("-")[0], LETTER)
    return DIGIT if character.isnumeric() else OTHER


def cut(text, longest):
    """Returns the pieces of a readable text, none of more than `longest` frames.

    Paragraphs are spoken apart; a piece holds as many sentences of one as it can. What is too long
    for a piece is cut after a comma or its like, else at a space, else anywhere.
    """
    pieces = []
    for paragraph in re.split(r"\n\s*\n", text):
        grouped = []
        for part, pause in parts_of(join_lines(paragraph), longest):
            joined = f"{grouped[-1][0]}{gap(grouped[-1][0], part)}{part}" if grouped else ""
            if joined and frames_of(joined) <= longest:
                grouped[-1] = (joined, pause)
            else:
                grouped.append((part, pause))
        spoken = [(part, pause) for part, pause in grouped if is_spoken(part)]
        if spoken:
            spoken[-1] = (spoken[-1][0], "paragraph")
        pieces += [Piece(part, frames_of(part), pause) for part, pause in spoken]
    return pieces


def join_lines(paragraph):
    """Returns a paragraph as one line."""
    lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
    joined = lines[0] if lines else ""
    for line in lines[1:]:
        joined += gap(joined, line) + line
    return joined


def gap(before, after):
    """Returns what stands between two texts that are joined: nothing in Chinese and Japanese."""
    return "" if is_dense(before[-1:]) and is_dense(after[:1]) else " "


def is_dense(character):
    """Whether this is written without spaces: Chinese and Japanese, with their marks."""
    return "\u2e80" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"


def parts_of(paragraph, longest):
    """Yields the sentences of a paragraph, long ones in parts, and the pauses after them."""
    for sentence in sentences(paragraph):
        rest = sentence
        while frames_of(rest) > longest:
            end = last_break(rest, longest)
            yield rest[:end].strip(), "clause"
            rest = rest[end:].strip()
        if rest:
            yield rest, "sentence"


def sentences(paragraph):
    """Yields the sentences of a paragraph of one line."""
    start = 0
    for match in END.finditer(paragraph):
        before, after = paragraph[start : match.start()], paragraph[match.end() :].lstrip()
        if after[:1].islower() or (match[0].startswith(".") and ABBREVIATION.search(before)):
            continue
        yield paragraph[start : match.end()].strip()
        start = match.end()
    if rest := paragraph[start:].strip():
        yield rest


def last_break(sentence, longest):
    """Returns where a sentence that is too long is cut, as late as it may be."""
    fits, frames = 0, 0.0
    for character in sentence:
        frames += pace(character)
        if frames > longest:
            break
        fits += 1
    fits = max(1, fits)
    head = sentence[: fits + 1]
    ends = [match.end() for match in CLAUSE.finditer(head) if fits // 3 < match.end() <= fits]
    return ends[-1] if ends else head.rfind(" ") + 1 or fits
