"""A piece of text to the phonemes that the network takes: Chinese, English, or both."""
# ruff: noqa: RUF001 - full-width marks are what this is about

import re

from .pinyin import syllables
from .spoken import spoken
from .syllables import phonemes
from .written import HAN

LETTER = rf"[^\W\d_{HAN}]"
INSIDE = rf"[^{HAN}，。、；：？！（）《》“”]*"
RUN = re.compile(
    rf"(?P<chinese>[{HAN}]+)|(?P<latin>{LETTER}(?:{INSIDE}{LETTER})?)|(?P<mark>.)", re.DOTALL
)
LONE_LETTER = re.compile(r"(?<![^\W_])[A-Za-z](?![^\W_]|['’])")
STOP = re.compile("(?<!s)([ptk])(?=[ˈˌ]?[aeiouɑæəɚɛɜɪɔʊʌᵻᵊAIOQWYɹljw])")
MARKS = {
    **{
        c: f"{mark} " for c, mark in zip("，、,。.！!？?；;：:…|/", ",,,..!!??;;::…,,", strict=True)
    },
    **dict.fromkeys("“《「『【", " “"),
    **dict.fromkeys("”》」』】", "” "),
    **dict.fromkeys("（(", " ("),
    **dict.fromkeys("）)", ") "),
    **dict.fromkeys("—–", "—"),
}
"""Marks as the network knows them; what is not here is a space."""


def main_language(text):
    """Returns whether a text is rather zh or en, or "" where it has neither's letters."""
    chinese = len(re.findall(f"[{HAN}]", text))
    latin = len(re.findall(f"{LETTER}+", text))
    return ("zh" if chinese >= latin else "en") if chinese or latin else ""


def of_chinese(text, english):
    """Returns the phonemes of a Chinese sentence; `english` says those of the Latin in it."""
    found = ""
    for run in RUN.finditer(spoken(text)):
        if run["chinese"]:
            found += f" {of_characters(run['chinese'])} "
        elif run["latin"]:
            found += f" {of_latin(run['latin'], english)} "
        else:
            found += MARKS.get(run["mark"], " ")
    return tidied(found)


def of_english(text, english):
    """Returns the phonemes of an English sentence, which may quote Chinese."""
    parts = re.split(f"([{HAN}]+)", text)
    return tidied(
        " ".join(of_characters(part) if n % 2 else english(part) for n, part in enumerate(parts))
    )


def of_characters(text):
    """Returns the phonemes of a run of Chinese characters, a space between words."""
    words = ("".join(phonemes(s) or "" for s in word) for word in syllables(text))
    return " ".join(word for word in words if word)


def of_latin(text, english):
    """Returns the phonemes of Latin words in a Chinese sentence; single letters by their names.

    Chinese voices are trained on p, t and k as in pinyin b, d and g: those of English have a breath
    after them, and the short one of "water" has none.
    """
    said = english(LONE_LETTER.sub(lambda letter: f"{letter[0].upper()}.", text))
    return STOP.sub(r"\1ʰ", said).replace("T", "t")


def tidied(text):
    """Returns phonemes with single spaces, none inside of quotes or before a mark, single marks."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?<=[“(]) | (?=[,.!?;:…”)])", "", text)
    return re.sub(r"([,.!?;:…])(?: ?[,;:])+", r"\1", text)


def pieces_of(text, limit):
    """Returns phonemes in strings that the network takes: cut at a mark, a space, or anywhere."""
    found = []
    while len(text) > limit:
        head = text[:limit]
        end = max(head.rfind(mark) for mark in ",;:.!?…—") + 1
        end = end if end > limit // 4 else head.rfind(" ") + 1 or limit
        found.append(text[:end].strip())
        text = text[end:].strip()
    return [*found, text] if any(map(str.isalpha, text)) else found
