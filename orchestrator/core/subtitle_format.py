"""Subtitle files, SubRip (`.srt`) and WebVTT (`.vtt`), of segments: what was said, and when.

A segment is an object with `start` and `end` in seconds and `text`; it may have `words`, a list of
the same, which say when a part of it was spoken.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from orchestrator.core.units import format_clock

SUBTITLES = (".srt", ".vtt")
"""The suffixes of subtitle files."""

SEGMENTS = "segments"
"""The output that subtitles are made of."""

COLUMNS = 42
"""How wide a line is; a Chinese character takes two columns."""

LINES = 2
"""How many lines are seen at once."""

SHORTEST = 100
"""Milliseconds of the shortest subtitle."""

_WIDE = "\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
_CLOSING = "、。〉》」』】！），．：；？”’"  # noqa: RUF001 - which begin no line
_PART = re.compile(
    rf"\s*(?:[{_WIDE}](?:[{_CLOSING}]|\Z)*|[^\s{_WIDE}]{{1,{COLUMNS}}}[{_CLOSING}]*)"
)
"""What is never broken: a word, or a wide character with the marks after it."""


class Cue(NamedTuple):
    """A subtitle: when it is seen, in milliseconds, and its lines."""

    start: int
    end: int
    lines: list[str]


def subtitles(segments: Any, suffix: str) -> str:
    """Return a subtitle file.

    Args:
        segments: What is to be seen.
        suffix: One of `SUBTITLES`.

    Raises:
        ValueError: When `segments` are none.
    """
    if not isinstance(segments, Sequence) or not all(map(_is_segment, segments)):
        raise ValueError("is no list of segments with start, end and text")
    cues = list(_in_order(segments))
    if suffix == ".vtt":
        return "\n\n".join(["WEBVTT", *(_vtt(cue) for cue in cues)]) + "\n"
    return "\n".join(f"{number}\n{_srt(cue)}\n" for number, cue in enumerate(cues, start=1))


def _srt(cue: Cue) -> str:
    times = f"{format_clock(cue.start, ',')} --> {format_clock(cue.end, ',')}"
    return "\n".join([times, *(line.replace("-->", "→") for line in cue.lines)])


def _vtt(cue: Cue) -> str:
    times = f"{format_clock(cue.start, '.')} --> {format_clock(cue.end, '.')}"
    return "\n".join([times, *(html.escape(line, quote=False) for line in cue.lines)])


def _is_segment(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("start"), Real)
        and isinstance(value.get("end"), Real)
        and isinstance(value.get("text"), str)
        and all(map(_is_segment, value.get("words") or ()))
    )


def _in_order(segments: Sequence[Mapping[str, Any]]) -> Iterator[Cue]:
    """Yield the cues of segments, of which none begins before the one before it ends."""
    clock = 0
    for segment in segments:
        for cue in _cues(segment):
            start = max(cue.start, clock)
            clock = max(cue.end, start + SHORTEST)
            yield Cue(start, clock, cue.lines)


def _cues(segment: Mapping[str, Any]) -> Iterator[Cue]:
    """Yield a segment in parts of `LINES` lines, each with the times of its own words."""
    lines, spoken = wrapped(segment["text"]), 0
    words = segment.get("words") or [segment]
    for first in range(0, len(lines), LINES):
        shown = lines[first : first + LINES]
        after = spoken + sum(map(_letters, shown))
        yield Cue(_when(words, spoken, 1), _when(words, after), shown)
        spoken = after


def _when(words: Sequence[Mapping[str, Any]], spoken: int, more: int = 0) -> int:
    """Return after how many milliseconds so many letters are spoken, and `more` may follow."""
    time = 0.0
    for word in words:
        letters, begin, time = _letters(word["text"]), float(word["start"]), float(word["end"])
        if spoken + more <= letters:
            time = begin + (time - begin) * spoken / max(letters, 1)
            break
        spoken -= letters
    return round(time * 1000)


def _letters(text: str) -> int:
    return sum(not each.isspace() for each in text)


def wrapped(text: str) -> list[str]:
    """Return text in lines of at most `COLUMNS` columns."""
    lines: list[str] = []
    for part in _PART.findall(" ".join(text.split())):
        if lines and width(lines[-1]) + width(part) <= COLUMNS:
            lines[-1] += part
        else:
            lines.append(part.strip())
    return lines


def width(text: str) -> int:
    """Return how many columns text takes."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
