"""The languages of a text by its scripts alone, and which models speak them.

A script is called by the first word of its letters' Unicode names: Latin, Han, Thai. Han letters
among kana are Japanese and count as Kana. Languages that share a script are not distinguished.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.core.manifest import Manifest

TEXT, LANGUAGE = "text", "language"
"""The inputs that say which language a job is in: what is spoken, and the model's own choice."""

_WEIGHTS = {"Han": 5, "Hangul": 3, "Kana": 3}
"""How many letters of an alphabet one character counts for: a word has about five letters, and in
Chinese about one character."""

_FEW, _SMALL_PART = 3, 50
"""Up to so many letters that are less than a 50th of the text do not decide which model speaks."""

_KANA_PART = 10
"""Japanese: at least a tenth of Han and kana together is kana."""

_SCRIPTS = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "BOPOMOFO": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",
    **dict.fromkeys(("COMBINING", "MODIFIER", "VARIATION"), ""),  # of no script
}
"""By the first word of a letter's name, where that is not the script's own."""

_WRITTEN_IN = """
Han zh cmn yue wuu nan hak lzh
Kana ja
Hangul ko
Cyrillic ru uk be bg sr mk kk ky mn tg tt
Arabic ar fa ur ps ckb sd ug
Devanagari hi mr ne sa
Bengali bn as
Hebrew he yi
Greek el
Thai th
Lao lo
Khmer km
Myanmar my
Tibetan bo
Georgian ka
Armenian hy
Ethiopic am ti
Tamil ta
Telugu te
Kannada kn
Malayalam ml
Gujarati gu
Gurmukhi pa
Oriya or
Sinhala si
"""
"""Scripts with the languages that are written in them; all others are written in Latin letters."""

_SCRIPT_OF = {
    tag: script for script, *tags in map(str.split, _WRITTEN_IN.split("\n")[1:-1]) for tag in tags
}
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_NO_LANGUAGE = ("und", "mul", "zxx", "mis")
_SHORT = {
    "eng": "en", "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "deu": "de", "ger": "de",
    "fra": "fr", "fre": "fr", "rus": "ru", "por": "pt", "spa": "es", "ita": "it", "nld": "nl",
    "dut": "nl", "pol": "pl",
}  # fmt: skip
"""The codes of two letters for those of three, which old books have."""
_SUBTAGS = {"Latn": "Latin", "Cyrl": "Cyrillic", "Arab": "Arabic"}
_NAMES = {"Han": "Chinese", "Kana": "Japanese", "Hangul": "Korean"}


class Wanted(msgspec.Struct, frozen=True):
    """What a model is to speak.

    Attributes:
        scripts: Of the text, the one with the larger part first.
        language: The tag or name that the job gives as its language; empty for none.
        given: Whether that is an input of the job, so that the model must take one.
    """

    scripts: tuple[str, ...] = ()
    language: str = ""
    given: bool = True

    @property
    def main(self) -> str:
        """What must be spoken, in words."""
        return self.language or _name(self.scripts[0])

    def __str__(self) -> str:
        """Return all of it in words."""
        return self.language or " and ".join(map(_name, self.scripts))


def wanted(inputs: Mapping[str, Any], known: str = "") -> Wanted | None:
    """Return what a job's inputs ask to be spoken; None where they say nothing of a language.

    Args:
        inputs: The inputs.
        known: The tag of the text's language, where that is known apart from them.
    """
    text, language = inputs.get(TEXT), inputs.get(LANGUAGE)
    scripts = scripts_of(text) if isinstance(text, str) else ()
    given = language if isinstance(language, str) and language.lower() != "auto" else ""
    if not scripts and not given:
        return None
    return Wanted(scripts, given or known, given=bool(given) or not known)


def scripts_of(text: str) -> tuple[str, ...]:
    """Return the scripts of a text, the one with the larger part first; a tie goes by place."""
    if text.isascii():
        return ("Latin",) if any(map(str.isalpha, text)) else ()
    counts: Counter[str] = Counter()
    for character, times in Counter(text).items():
        counts[_script(character)] += times
    del counts[""]
    weights = {script: count * _WEIGHTS.get(script, 1) for script, count in counts.items()}
    if counts["Kana"] * _KANA_PART >= counts["Kana"] + counts["Han"] > 0:
        weights["Kana"] += weights.pop("Han", 0)
    total = sum(weights.values())
    ordered = sorted(weights, key=lambda script: -weights[script])
    return tuple(
        script
        for place, script in enumerate(ordered)
        if place == 0 or counts[script] > _FEW or weights[script] * _SMALL_PART >= total
    )


def language_tag(text: str) -> str:
    """Return a tag as models list them; empty where it stands for no language, as `und` does.

    Raises:
        ValueError: When it is no tag.
    """
    tag = text.strip().replace("_", "-")
    if not _TAG.fullmatch(tag):
        raise ValueError(f"{text!r} is no tag of a language, such as en or zh-CN")
    code, dash, rest = tag.partition("-")
    code = code.lower()
    return "" if code in _NO_LANGUAGE else _SHORT.get(code, code) + dash + rest


def language_of(text: str, near: str = "") -> str:
    """Return the language of a text as a tag: `near` where that is written in its script.

    Args:
        text: The text.
        near: The language of what it is a part of; it stands as well where there are no letters.
    """
    scripts = scripts_of(text)
    if not scripts or (near and _script_of_tag(near) == scripts[0]):
        return near
    return next((tag for tag, script in _SCRIPT_OF.items() if script == scripts[0]), "en")


def coverage(manifest: Manifest, wanted: Wanted) -> tuple[bool, ...]:
    """Return which parts of what is wanted a model speaks, the main one first.

    A model that lists no languages counts as speaking all of them.
    """
    tags = manifest.languages
    speaks_all = not tags or "any" in tags
    scripts = {_script_of_tag(tag) for tag in tags}
    parts = tuple(speaks_all or script in scripts for script in wanted.scripts)
    if not wanted.language:
        return parts
    code = _primary(wanted.language)
    # A longer word is the model's own name of a language.
    listed = speaks_all or len(code) > 3 or code in map(_primary, tags)
    return (listed and (not wanted.given or LANGUAGE in manifest.inputs), *parts)


def language_input(manifest: Manifest, tag: str) -> str:
    """Return what a model is given as its input `language` for a text in the language of a tag.

    Empty where it has no such input, or does not know the language.
    """
    declared = manifest.inputs.get(LANGUAGE)
    if declared is None or _primary(tag) not in map(_primary, manifest.languages):
        return ""
    known = declared.choices or (_primary(tag),)
    return next((each for each in (tag, _primary(tag)) if each in known), "")


def voices_for(manifest: Manifest, text: str) -> tuple[str, ...]:
    """Return the voices of a model that speak the larger part of a text; all where none does."""
    main = scripts_of(text)[:1]
    speaking = (name for name, tag in manifest.voices.items() if _script_of_tag(tag) in main)
    return tuple(speaking) or tuple(manifest.voices)


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """Return the script of a letter or a mark on one, in any style; empty for all else."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    plain = unicodedata.normalize("NFKC", character)
    word = unicodedata.name(plain[0], "").partition(" ")[0]
    return _SCRIPTS.get(word, word.title())


def _script_of_tag(tag: str) -> str:
    code, *others = tag.split("-")
    return next((_SUBTAGS[each] for each in others if each in _SUBTAGS), "") or _SCRIPT_OF.get(
        code, "Latin"
    )


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()


def _name(script: str) -> str:
    return _NAMES.get(script, f"{script} script")
