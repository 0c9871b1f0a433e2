"""How the outputs of two jobs differ, by their types."""

from __future__ import annotations

import array
import difflib
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from orchestrator.comparison.arrays import Array, compare_arrays
from orchestrator.jobs.results import PCM_FULL_SCALE, Artifact, Audio
from orchestrator.pipelines.outcome import read_wav

SILENCE = -120.0
"""Decibels of full scale of a sound in which nothing is."""


class OutputDifference(msgspec.Struct, frozen=True):
    """How one output of two jobs differs.

    Attributes:
        name: The output.
        equal: Whether both are the same.
        finding: How they differ, in words.
        values: The figures of the finding, by name.
    """

    name: str
    equal: bool
    finding: str
    values: Mapping[str, Any] = {}


def compare_outputs(name: str, kind: str, one: Any, other: Any) -> OutputDifference:
    """Compare two values of an output.

    Args:
        name: The output.
        kind: Its type in the manifest.
        one: What the first job returned; None where it returned none.
        other: What the second job returned.
    """
    if one is None or other is None:
        which = "neither gave" if one is other else "one alone gave"
        return OutputDifference(name, one is other, f"{which} it")
    if kind == "text":
        finding, values = compare_texts(one, other)
        return OutputDifference(name, one == other, finding, values)
    if kind == "audio":
        return _compare_sounds(name, one, other)
    if kind == "array":
        found = compare_arrays(name, Array.of(one), Array.of(other), 0)
        return OutputDifference(name, found.equal, found.finding, {"largest": found.largest})
    if isinstance(one, Artifact):
        sizes = [len(each.read()) for each in (one, other)]
        equal = one.read() == other.read()
        words = "the same bytes" if equal else f"other bytes: {sizes[0]:,} and {sizes[1]:,}"
        return OutputDifference(name, equal, words)
    places = list(differing_places(one, other))
    more = f" and {len(places) - 1} more places" if len(places) > 1 else ""
    finding = f"other values at {places[0]}{more}" if places else "equal"
    return OutputDifference(name, not places, finding, {"places": places})


def compare_texts(one: str, other: str) -> tuple[str, dict[str, Any]]:
    """Return how two texts differ in words, and the figures.

    The rate of errors is that of the second text, in parts of the characters of the first.
    """
    words, others = one.split(), other.split()
    matcher = difflib.SequenceMatcher(None, words, others, autojunk=False)
    changes = [
        [" ".join(words[a:b]), " ".join(others[c:d])]
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]
    rate = edit_distance(one, other) / max(1, len(one))
    count = sum(max(len(a.split()), len(b.split())) for a, b in changes)
    finding = "equal"
    if one != other:
        finding = f"{count} of {len(words)} words differ; character error rate {rate:.1%}"
    values = {"words": len(words), "words_differ": count, "changes": changes}
    return finding, {**values, "character_error_rate": rate}


def edit_distance(one: str, other: str) -> int:
    """Return the Levenshtein distance of two texts, by Myers' vectors of bits (JACM 46, 1999)."""
    if not one or not other:
        return len(one) + len(other)
    places: dict[str, int] = {}
    for index, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << index
    whole, last = (1 << len(one)) - 1, 1 << len(one) - 1
    plus, minus, distance = whole, 0, len(one)
    for letter in other:
        here = places.get(letter, 0)
        diagonal = (((here & plus) + plus) ^ plus) | here | minus
        up, down = minus | ~(diagonal | plus) & whole, plus & diagonal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & whole, down << 1 & whole
        plus, minus = down | ~(diagonal | up) & whole, up & diagonal
    return distance


def _compare_sounds(name: str, one: Any, other: Any) -> OutputDifference:
    here, there = (
        each if isinstance(each, Audio) else read_wav(each.path) for each in (one, other)
    )
    if here is None or there is None:  # a format that we do not read
        equal = one.read() == other.read()
        return OutputDifference(name, equal, "the same bytes" if equal else "other bytes")
    first, second = _samples(here), _samples(there)
    rate, other_rate = here.rate, there.rate
    seconds, others = here.duration, there.duration
    levels = [_level(first), _level(second)]
    equal = first == second and rate == other_rate
    finding = (
        f"{seconds:.2f} s at {levels[0]:.1f} dB and {others:.2f} s at {levels[1]:.1f} dB "
        f"of full scale, {rate} and {other_rate} Hz"
    )
    values: dict[str, Any] = {
        "seconds": [seconds, others], "levels": levels, "rates": [rate, other_rate],
    }  # fmt: skip
    if len(first) == len(second) and not equal:
        largest = max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0)
        values["largest"] = largest / PCM_FULL_SCALE
        finding += f"; samples differ by {values['largest']:.2g} at most"
    return OutputDifference(name, equal, f"equal: {finding}" if equal else finding, values)


def _samples(sound: Audio) -> array.array[int]:
    samples = array.array("h", sound.pcm())
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _level(samples: array.array[int]) -> float:
    """Return the mean power in decibels of full scale."""
    power = sum(each * each for each in samples) / max(1, len(samples))
    return 10 * math.log10(power / PCM_FULL_SCALE**2) if power else SILENCE


def differing_places(one: Any, other: Any, place: str = "$") -> Iterator[str]:
    """Yield the places in which two JSON values differ, as paths such as `$[0].label`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if key in one and key in other:
                yield from differing_places(one[key], other[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"
    elif isinstance(one, list) and isinstance(other, list):
        for index, (a, b) in enumerate(zip(one, other, strict=False)):
            yield from differing_places(a, b, f"{place}[{index}]")
        for index in range(min(len(one), len(other)), max(len(one), len(other))):
            yield f"{place}[{index}]"
    elif one != other:
        yield place
