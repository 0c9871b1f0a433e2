"""Sentences of a text in any language: where each ends, and pieces that are short enough to speak.

Abbreviations, initials and numbers with a point end no sentence.
"""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re

_END = re.compile(r"[.!?…]+[\"'”’)\]»]*(?=\s|$)|[。！？｡؟।]+[”’」』）》\"]*|\n")
_PAUSE = re.compile(r"[;:,—–][\"'”’)]*\s|[；：，、][”’」』）]*|\s[–—]\s")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])(?:[A-Z]|[A-Za-z](?:\.[A-Za-z])+|Mrs?|Ms|Dr|Prof|St|Mt|Sr|Jr|Rev|Gen|Col|Capt|Lt|Sgt"
    r"|Hon|Gov|Sen|Rep|No|Nos|Vol|vol|Ch|ch|Fig|fig|Figs|Eq|Sec|sec|pp?|ed|eds|vs|cf|al|etc|approx|ca|Inc"
    r"|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Nr|Hr|Fr|bzw|usw|ca|Abb|Kap|Bd|Mme|Mlle"
    r"|Sra?|Art|Abs)\.$"
)
_ENDING_TOO = re.compile(r"(?:etc|Inc|Ltd|Co|Corp|Jr|Sr|al|[ap]\.m|U\.S)\.$")
"""Abbreviations after which a sentence may end as well: a capital letter says so."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, without white around them."""
    found, start = [], 0
    for end in _END.finditer(text):
        if _ends(text[start : end.end()], text[end.end() :].lstrip()):
            found.append(text[start : end.end()].strip())
            start = end.end()
    found.append(text[start:].strip())
    return [each for each in found if each]


def ends_with_abbreviation(text: str) -> bool:
    """Return whether a text ends with an abbreviation after which no sentence ends."""
    return bool(_ABBREVIATION.search(text)) and not _ENDING_TOO.search(text)


def _ends(sentence: str, rest: str) -> bool:
    """Whether what looks like the end of a sentence is one."""
    if sentence[-1] == "\n":
        return True
    if rest[:1].islower():
        return False  # “Go!” he said
    if not sentence.rstrip("\"'”’)]»").endswith("."):
        return True
    bare = sentence.rstrip("\"'”’)]»")
    if bare.endswith("...") or not _ABBREVIATION.search(bare):
        return not re.search(r"(?:^|\n)\s*\d{1,3}\.$", bare)  # the number of an item
    return bool(_ENDING_TOO.search(bare)) and rest[:1].isupper()


def pieces(text: str, most: int) -> list[str]:
    """Return a text in pieces of at most `most` characters, of whole sentences where that goes.

    A sentence that is longer is cut at a mark of punctuation, then at a space, then anywhere.
    """
    if len(text) <= most:
        return [text] if text.strip() else []
    found: list[str] = []
    for sentence in sentences(text):
        for part in _cut(sentence, most):
            gap = "" if not found or _is_wide(found[-1][-1]) else " "
            if found and len(found[-1]) + len(gap) + len(part) <= most:
                found[-1] += gap + part
            else:
                found.append(part)
    return found


def _cut(sentence: str, most: int) -> list[str]:
    parts = []
    while len(sentence) > most:
        pauses = [match.end() for match in _PAUSE.finditer(sentence, most // 3, most)]
        end = pauses[-1] if pauses else sentence.rfind(" ", 1, most) + 1 or most
        parts.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*parts, sentence] if sentence else parts


def _is_wide(letter: str) -> bool:
    return letter >= "\u2e80"
