"""How well a page was read: its letters, and the order of its lines."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

from tests.integration.reading import edit_distance

RIGHT = 0.02
"""The most character error of a page that counts as right."""


@dataclass(frozen=True)
class Score:
    """Figures of one page.

    Attributes:
        error: Edits per letter of the truth, spaces and order apart.
        disorder: Edits that put the lines into order, per line, as OmniDocBench computes it.
    """

    error: float
    disorder: float

    @property
    def right(self) -> bool:
        """Whether the page counts as right."""
        return self.error <= RIGHT and self.disorder == 0


def letters(text: str) -> str:
    """Return the text without white space, in the compatible forms of its characters."""
    text = unicodedata.normalize("NFKC", text).replace("·", "•").replace("●", "•")
    return "".join(text.split()).replace("•", "")


def score(lines: list[str], units: list[str]) -> Score:
    """Return how well lines in the order in which they were read render the units of a page."""
    truth = letters("".join(units))
    texts = [text for line in lines if (text := letters(line))]
    places, used, last = [], set(), 0
    for text in texts:
        place = _place(text, truth, used, last)
        if place is not None:
            used.add(place)
            last = place + len(text)
        places.append(place)
    known = [place for place in places if place is not None]
    in_order = sorted(range(len(texts)), key=lambda i: (places[i] is None, places[i]))
    error = edit_distance("".join(texts[i] for i in in_order), truth) / len(truth)
    disorder = edit_distance(known, sorted(known)) / max(len(known), 1)
    return Score(error, disorder)


def spaces(lines: list[str], units: list[str]) -> tuple[int, int, int]:
    """Return how many spaces between words the truth has, and how many were lost and invented."""
    truth, apart = letters("".join(units)), _gaps(units)
    wanted, lost, invented, used, last = 0, 0, 0, set(), 0
    for line in lines:
        text, seen = letters(line), _gaps([line])
        place = _place(text, truth, used, last) if text else None
        if place is None:
            continue
        used.add(place)
        last = place + len(text)
        part = truth[max(place, 0) : last]
        pairs = SequenceMatcher(None, part, text, autojunk=False).get_matching_blocks()
        for a, b, size in pairs:
            for k in range(1, size):
                expected, found = max(place, 0) + a + k in apart, b + k in seen
                wanted += expected
                lost += expected and not found
                invented += found and not expected
    return wanted, lost, invented


def _gaps(texts: list[str]) -> set[int]:
    """Return before which letters of texts, one after the other, white space stands."""
    before, count = set(), 0
    for text in texts:
        for word in text.split():
            before.add(count)
            count += len(letters(word))
    return before


def _place(text: str, truth: str, used: set[int], last: int) -> int | None:
    """Return where the text stands in the truth: after `last`, if it stands there several times."""
    found, at = [], truth.find(text)
    while at >= 0:
        found.append(at)
        at = truth.find(text, at + 1)
    free = [at for at in found if at not in used]
    if free:
        return min(free, key=lambda at: (at < last, at))
    anywhere, after = (
        SequenceMatcher(None, truth, text, autojunk=False).find_longest_match(start)
        for start in (0, last)
    )
    match = after if after.size >= 0.7 * anywhere.size else anywhere
    return match.a - match.b if match.size > 0.3 * len(text) else None
