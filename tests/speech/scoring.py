"""How well speech is understood: error rates between what was said and what was recognised.

Numbers, money and times may be written in digits or in words on either side: both sides are spelled
out by the same grammars (wetext) before they are compared. Traditional characters count as their
simplified ones, and marks, spaces and capital letters for nothing.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path

from tests.integration.reading import edit_distance

HERE = Path(__file__).parent


def sentences(language):
    """Return the sentences of a language, en or zh, by which speech is judged."""
    return (HERE / f"sentences_{language}.txt").read_text("utf-8").splitlines()


def error_rate(said, recognised, units):
    """Return edits per unit of what was said, over pairs of texts.

    Args:
        said: What was to be said, text by text.
        recognised: What was recognised, in the same order.
        units: `words`, `characters` or `syllables`.
    """
    pairs = [(units(one), units(other)) for one, other in zip(said, recognised, strict=True)]
    return sum(edit_distance(other, one) for one, other in pairs) / sum(
        len(one) for one, _ in pairs
    )


def words(text):
    """Return the words of an English text, in small letters, numbers spelled out."""
    text = re.sub(r"\b\d{3}-\d{4}\b|\b\d{7,}\b", lambda m: " ".join(re.findall(r"\d", m[0])), text)
    text = re.sub(r"(?<=\d)(?::|\.(?=\d\d ?[ap]\.?m\b))(?=\d\d)", "", text.casefold())  # times
    text = re.sub(r"(?<=\d) ?([ap])\.?m\b\.?", r" \1.m.", text)
    plain = unicodedata.normalize("NFKD", _grammar("en").normalize(text)).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return re.findall(r"[a-z]+", plain.replace("'", ""))


def characters(text):
    """Return the characters of a Chinese text, numbers spelled out, a Latin word as one."""
    text = re.sub(r"[￥¥](?=[\d,.]+元)", "", text)
    text = re.sub(r"(?<=\d)[ -](?=\d{4})", "", text)  # parts of a telephone number
    text = re.sub(r"\d{7,}(?![万亿元])", lambda m: " ".join(m[0]), text)
    spoken = _grammar("zh").normalize(text).replace("幺", "一").replace("两", "二").casefold()
    spoken = re.sub(r"(?<![a-z])[a-z](?: [a-z])+(?![a-z])", lambda m: m[0].replace(" ", ""), spoken)
    return re.findall(r"[a-z]+|[\u3007\u4e00-\u9fff]", spoken)


def syllables(text):
    """Return the syllables of a Chinese text as pinyin without tones, a Latin word as one."""
    from pypinyin import lazy_pinyin

    return [
        unit if unit.isascii() else "".join(lazy_pinyin(unit, v_to_u=False))
        for unit in characters(text)
    ]


@cache
def _grammar(language):
    from wetext import Normalizer

    chinese = {"traditional_to_simple": True, "full_to_half": True} if language == "zh" else {}
    return Normalizer(lang=language, operator="tn", **chinese)
