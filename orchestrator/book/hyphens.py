"""Words that are broken at the ends of lines, joined as the rest of the book writes them."""
# ruff: noqa: RUF001 - marks of several scripts

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_HEAD = re.compile(r"([^\W\d_]+(?:[-'’][^\W\d_]+)*)[-\u2010\u00ad]$")
_TAIL = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
CHINESE = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60]")
"""Letters and marks of Chinese and Japanese, beside which no space stands."""

LONG = 4
"""Letters of a word that can be a part of a compound."""


def vocabulary(lines: Iterable[str], before: str = "") -> Counter[str]:
    """Return the words of lines and how often each occurs, those at a break left out.

    Args:
        lines: The lines.
        before: The line that stands before them.
    """
    words: Counter[str] = Counter()
    broken = bool(_HEAD.search(before))
    for line in lines:
        text = line
        if broken:
            text = _TAIL.sub("", text, count=1)
        broken = bool(_HEAD.search(line))
        if broken:
            text = _HEAD.sub("", text)
        words.update(word.lower() for word in _WORD.findall(text))
    return words


def joined(lines: Sequence[str], words: Counter[str]) -> str:
    """Return lines that run on as one text.

    Args:
        lines: The lines.
        words: The words of the book.
    """
    text = ""
    for line in lines:
        text = _with(text, line.strip(), words)
    return text


def _with(text: str, line: str, words: Counter[str]) -> str:
    if not text or not line:
        return text + line
    head, tail = _HEAD.search(text), _TAIL.match(line)
    if head and tail:
        return text[: head.end() - 1] + _hyphen(head[1], tail[0], text[-1], words) + line
    if re.search(r"\w-$", text) and (tail or line[0].isdigit()):
        return text + line  # 1914-\n18
    close = CHINESE.match(text[-1]) or CHINESE.match(line[0])
    return text + line if close else f"{text} {line}"


def _hyphen(head: str, tail: str, mark: str, words: Counter[str]) -> str:
    """Return what stands between two parts of a word: a hyphen or nothing."""
    if mark == "\u00ad":
        return ""
    last, first = head.rpartition("-")[2].lower(), tail.partition("-")[0].lower()
    one, two = f"{head}{tail}".lower(), f"{head}-{tail}".lower()
    if words[one] != words[two]:
        return "" if words[one] > words[two] else "-"
    if tail[0].isupper():
        return "-"  # Anglo-Saxon
    # What is a compound elsewhere as well: well-known, long-distance.
    compound = min(len(last), len(first)) >= LONG and words[last] and words[first]
    return "-" if compound or words[f"{last}-{first}"] else ""
