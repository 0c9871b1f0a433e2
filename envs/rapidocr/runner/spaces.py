"""The spaces of a line, by its ink: the reader loses some, and tears letter-spaced words apart."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
import statistics
from bisect import bisect_right
from itertools import accumulate, pairwise

from .script import is_han

WIDE = 0.6
"""Width of a letter with its gap, over the height of its line, above which a line may be spaced."""
SPACED = 0.15
"""Width of a usual gap, over the height of the line, of letter-spaced text."""
BETWEEN_WORDS = 1.7
"""A gap this much wider than the usual one is one between letter-spaced words."""
EM = 0.8
"""Height of the letters over that of their line."""
HAN_GAP = 0.2
"""Ems: the least that is blank where a space stands beside a Chinese letter."""
HAN_ROOM = 0.17
"""Ems: Chinese letters stand in squares; where a space is between two, these are so far apart."""
LATIN_ROOM = 0.17
"""Ems: the same between a Chinese letter and another."""
ONE = 0.06
"""Ems: the white beside a figure 1, in fonts whose figures are equally wide."""
LATIN_GAP = 0.2
"""Heights of the line: the same between Latin letters."""
LIKE_OTHERS = 0.7
"""A space is at least so wide, compared with the other spaces of the line."""
LIKE_LETTERS = 1.8
"""A space is this much wider than nearly all gaps between letters of the line."""
CELLS_APART = 0.7
"""Heights of the line: what is blank for longer may lie between the cells of a table."""
HALF = 0.5
"""Heights of the line: what marks as wide as Chinese letters have of white."""
MARKS = re.compile(
    "[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…—·(){}\\[\\]]"
)
"""What has white of its own beside it."""
NUMERIC = re.compile(r"[\d.,:;/%+-]")


def respaced(text, at, ink):
    """Returns the text of a line with the spaces that its ink has, and where the ink has wide gaps.

    Args:
        text: As it was read.
        at: The x of each letter in the image of the line, spaces left out.
        ink: The ink of that image.

    Returns:
        The text; and for each wide gap, where it begins and ends, as parts of the line's width,
        and how many letters, spaces left out, stand before it.
    """
    words = text.split()
    letters = "".join(words)
    if len(letters) < 2:
        return text, []
    blanks = [(x0, x1) for (_, x0), (x1, _) in pairwise(ink.pieces)]
    if is_letter_spaced(letters, blanks, ink):
        widths = [x1 - x0 for x0, x1 in blanks]
        wide = BETWEEN_WORDS * statistics.median(widths)
        return joined_at(letters, {k + 1 for k, width in enumerate(widths) if width > wide}), []
    if len(at) != len(letters):
        return text, []
    pairs = between(at, blanks)
    spaces = {*accumulate(len(word) for word in words[:-1])}
    found = with_gaps(letters, pairs, spaces, ink)
    cells = [
        (round(x0 / ink.width, 4), round(x1 / ink.width, 4), k + 1)
        for k, (x0, x1) in enumerate(pairs)
        if x1 - x0 > (CELLS_APART + HALF * sum(map(is_wide, letters[k : k + 2]))) * ink.height
    ]
    return (text if found == spaces else joined_at(letters, found)), cells


def is_wide(mark):
    """Whether this is a mark with half a square of white beside it."""
    return bool(MARKS.match(mark)) and (is_han(mark) or mark in "“”‘’")


def joined_at(letters, spaces):
    """Returns letters with a space before those at the given places."""
    return "".join(" " * (k in spaces) + letter for k, letter in enumerate(letters))


def is_letter_spaced(letters, blanks, ink):
    """Whether a wide gap parts every letter from the next."""
    return (
        len(letters) >= 4
        and ink.width >= WIDE * ink.height * len(letters)
        and len(blanks) == len(letters) - 1
        and not any(map(is_han, letters))
        and statistics.median(x1 - x0 for x0, x1 in blanks) >= SPACED * ink.height
    )


def between(at, blanks):
    """Returns the widest blank between each two letters; off centre are those within letters."""
    middles = [(left + right) / 2 for left, right in pairwise(at)]
    pairs = [(middle, middle) for middle in middles]
    widest = [0.0] * len(pairs)
    for x0, x1 in blanks:
        centre = (x0 + x1) / 2
        k = bisect_right(at, centre) - 1
        if 0 <= k < len(pairs):
            width = x1 - x0 - 0.3 * abs(centre - middles[k])
            if width > widest[k]:
                pairs[k], widest[k] = (x0, x1), width
    return pairs


def with_gaps(letters, pairs, spaces, ink):
    """Returns before which letters a space stands, by what was read and by the gaps in the ink.

    Args:
        letters: Without spaces.
        pairs: The blank between each two of them, as `(x0, x1)`.
        spaces: The places of the spaces that were read.
        ink: That of the line.
    """
    gaps = [x1 - x0 for x0, x1 in pairs]
    found = set(spaces)
    least = min(LATIN_GAP, HAN_GAP * EM) * ink.height
    wide = [k for k, gap in enumerate(gaps) if gap >= least and k + 1 not in spaces]
    commas = [k - 1 for k in spaces if letters[k] in ",.;:" and not NUMERIC.match(letters[k - 1])]
    if not wide and not commas:
        return found
    latin = [k for k, (a, b) in enumerate(pairwise(letters)) if not (is_han(a) or is_han(b))]
    apart = statistics.median([gaps[k] for k in latin if k + 1 in spaces] or [0])
    close = sorted(gaps[k] for k in latin if k + 1 not in spaces) or [0]
    factor = LIKE_LETTERS if apart else LIKE_LETTERS**1.5  # nothing to compare with
    usual = close[int(0.9 * (len(close) - 1))]
    word_gap = max(LATIN_GAP * ink.height, LIKE_OTHERS * apart, factor * usual)
    room, em = squares(letters, pairs, ink)
    for k in wide:
        a, b = letters[k : k + 2]
        beside = (n for n in (k - 1, k + 1) if n + 1 in spaces)
        if MARKS.match(a) or MARKS.match(b) or any(gaps[n] < gaps[k] for n in beside):
            continue  # the gap is that of a mark, or of the space beside: places are not exact
        if is_han(a) or is_han(b):
            both = is_han(a) and is_han(b)
            apart_by = HAN_ROOM if both else LATIN_ROOM + ONE * ("1" in (a, b))
            enough = gaps[k] >= HAN_GAP * em and room[k] >= apart_by * em
        else:
            numeric = NUMERIC.match(a) and NUMERIC.match(b)
            enough = gaps[k] >= (
                max(word_gap, 1.5 * LATIN_GAP * ink.height) if numeric else word_gap
            )
        if enough:
            found.add(k + 1)
    return found - {k + 1 for k in commas if gaps[k] < LIKE_OTHERS * apart}


def squares(letters, pairs, ink):
    """Returns how far apart letters stand, the squares of Chinese ones counted whole, and an em."""
    edges = [ink.pieces[0][0], *(x for pair in pairs for x in pair), ink.pieces[-1][1]]
    inked = list(zip(edges[::2], edges[1::2], strict=True))
    middles = [(x0 + x1) / 2 for x0, x1 in inked]
    han = [is_han(letter) and not MARKS.match(letter) for letter in letters]
    steps = [(middles[k + 1] - middles[k], x1 - x0) for k, (x0, x1) in enumerate(pairs)
             if han[k] and han[k + 1]]  # fmt: skip
    close = [step for step, gap in steps if gap < HAN_GAP * EM * ink.height]
    if 2 * len(close) < len(steps):  # all are apart: the line is letter-spaced
        close = [step for step, _ in steps]
    em = statistics.median(close) if len(close) > 1 else EM * ink.height
    around = [
        (m - em / 2, m + em / 2) if square else edges
        for m, edges, square in zip(middles, inked, han, strict=True)
    ]
    return [x0 - x1 for (_, x1), (x0, _) in pairwise(around)], em
