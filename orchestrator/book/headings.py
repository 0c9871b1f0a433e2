"""What a heading is called: the numbers of chapters and sections in several languages."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re

_ROMAN = "[IVXLC]+"
_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    "|sixteen|seventeen|eighteen|nineteen|(?:twenty|thirty|forty)(?:[- ]\\w+)?"
    "|the (?:first|second|third|fourth|fifth|sixth|last)"
)
_CHAPTER = re.compile(
    rf"(?:chapter|part|book|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo)\s+(?:\d+|{_ROMAN}|{_WORDS})\b"
    r"|第\s*[一二三四五六七八九十百千零〇两\d]+\s*[章回部卷篇编]"
    rf"|(?:act|acte|akt|aufzug|canto)\s+(?:\d+|{_ROMAN})\b"
    r"|[^\W\d]+(?:es|er)\s(?:kapitel|teil|buch)$"
    r"|глава\s+\w+"
    r"|(?:prologue|epilogue|preface|foreword|introduction|afterword|appendix(?:\s+\w)?|acknowledge?ments)$"
    r"|(?:序言?|前言|引言|后记|後記|尾声|楔子|附录.?|序章|终章)$",
    re.IGNORECASE,
)
_SECTION = re.compile(
    r"第\s*[一二三四五六七八九十百\d]+\s*[节節]|§{1,2}\s*\d|(?:article|section)\s+\d|\d{1,2}\.\d{1,2}(?:\.\d{1,2})*\.?\s",
    re.IGNORECASE,
)


_SCENE = re.compile(
    rf"(?:SCENE|Scene|SZENE|Szene|AUFTRITT|Auftritt|SCÈNE|Scène)\s+(?:\d+|{_ROMAN})\b"
    r"|第\s*[一二三四五六七八九十\d]+\s*[场場折出齣]"
)

_PARTS = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
          (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))  # fmt: skip
_DIGITS = {letters: value for value, letters in _PARTS if len(letters) == 1}


def is_numbered(text: str) -> bool:
    """Return whether a line is numbered or called as a chapter is."""
    match = _CHAPTER.match(text.strip())
    if not match:
        return False
    rest = text.strip()[match.end() :]
    # "Chapter 3 of this book is long." is no heading.
    title = rest.lstrip(".:：—–- 　\t")
    return not rest or (
        rest != title and not title[:1].islower() and text.rstrip()[-1] not in ".,;。，；、"
    )


def is_bare(text: str) -> bool:
    """Return whether a line is the number of a chapter or scene alone, without its title."""
    match = _CHAPTER.match(text.strip()) or _SCENE.match(text.strip())
    return match is not None and not text.strip()[match.end() :].strip(" .:：—–-")


def is_scene(text: str) -> bool:
    """Return whether a line heads a scene of a play."""
    return _SCENE.match(text.strip()) is not None


def is_section(text: str) -> bool:
    """Return whether a line is numbered as a part of a chapter is."""
    return _SECTION.match(text.strip()) is not None


def page_number(digits: str) -> int | None:
    """Return the value of a decimal or Roman number, or None: it is neither."""
    if digits.isdigit():
        return int(digits)
    values = [_DIGITS.get(each, 0) for each in digits.upper()]
    total = sum(
        -value if value < after else value
        for value, after in zip(values, [*values[1:], 0], strict=True)
    )
    return total if 0 not in values and _written(total) == digits.upper() else None


def _written(number: int) -> str:
    """Return a number as the Romans wrote it."""
    text = ""
    for value, letters in _PARTS:
        text += letters * (number // value)
        number %= value
    return text
