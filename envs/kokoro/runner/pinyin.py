"""Chinese characters to syllables: words by jieba, readings by pypinyin, tones as spoken."""

import re
from functools import cache

from .readings import COUNT, NEUTRAL, PHRASES, RULES
from .tones import spoken_tones

COUNTED = re.compile(f"第?{COUNT}+[只行]")
"""A number and a measure word that jieba has as one word."""
OWN_SYLLABLE = re.compile("[女婴幼孤胎健宠少育托新生混血男小患]+儿")
"""Words in which 儿 means a child, and does not join the syllable before it."""


def syllables(text):
    """Returns the words of a run of Chinese characters, each as a list of syllables with tones.

    A syllable is pinyin with the number of its tone; 儿 that only colours the syllable before it is
    an "r" in that: "dianr3". A character without a reading is an empty syllable.
    """
    import rjieba

    words, found, start = rjieba.cut(text, hmm=False), [], 0
    for word in words:
        before, after = text[:start], text[start + len(word) :]
        found.append(readings(word, before, after))
        start += len(word)
    return [
        with_er(word, each) for word, each in zip(words, spoken_tones(words, found), strict=True)
    ]


def readings(word, before="", after=""):
    """Returns the reading of each character of a word in its text."""
    if word in PHRASES:
        return PHRASES[word].split()
    if len(word) == 1:
        for character, ending, beginning, reading in RULES:
            if word == character and re.search(f"{ending}$", before) and re.match(beginning, after):
                return [reading]
    if COUNTED.fullmatch(word):
        number, measure = word[:-1], word[-1]
        return [*readings(number, before, measure), *readings(measure, before + number, after)]
    found = pinyin()(word)
    if word in NEUTRAL:
        found[-1] = found[-1][:-1] + "5"
    return found


def with_er(word, found):
    """Returns the syllables of a word with 儿 at its end joined to the one before."""
    if len(word) < 2 or word[-1] != "儿" or OWN_SYLLABLE.fullmatch(word):
        return found
    return [*found[:-2], f"{found[-2][:-1]}r{found[-2][-1]}"]


@cache
def pinyin():
    """Returns what reads a word: its characters as pinyin with the numbers of their tones."""
    from pypinyin import Style, lazy_pinyin

    def read(word):
        return lazy_pinyin(
            word,
            style=Style.TONE3,
            neutral_tone_with_five=True,
            errors=lambda unknown: [""] * len(unknown),
        )

    return read
