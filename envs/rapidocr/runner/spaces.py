"""The spaces of a line, by its ink: the reader loses some, and tears letter-spaced words apart."""
# ruff: noqa: RUF001 - Chinese marks are full width

import re
from itertools import pairwise

import numpy as np

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
MARGIN = 0.12
"""Heights of a line: what its box has before and after its letters."""
INKED = 0.35
"""The part of the contrast of a line from which a pixel counts as ink."""
MARKS = re.compile(
    "[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…—·(){}\\[\\]]"
)
"""What has white of its own beside it."""
NUMERIC = re.compile(r"[\d.,:;/%+-]")


def respaced(text, at, crop):
    """Returns the text of a line with the spaces that its ink has, and where the ink has wide gaps.

    Args:
        text: As it was read.
        at: The x of each letter in the crop, spaces left out.
        crop: The image of the line.

    Returns:
        The text; and for each wide gap, where it begins and ends, as parts of the line's width,
        and how many letters, spaces left out, stand before it.
    """
    words = text.split()
    letters = "".join(words)
    if len(letters) < 2:
        return text, []
    height, width = crop.shape[:2]
    pieces = inked(crop)
    blank = [(x0, x1) for (_, x0), (x1, _) in pairwise(pieces)]
    if is_letter_spaced(letters, blank, crop):
        ends = [x1 - x0 for x0, x1 in blank]
        ends = np.greater(ends, BETWEEN_WORDS * np.median(ends))
        return joined_at(letters, {k + 1 for k in np.flatnonzero(ends)}), []
    if len(at) != len(letters):
        return text, []
    pairs = [gap_between(a, b, blank) for a, b in pairwise(at)]
    ends = pieces[0][0], pieces[-1][1]
    spaces = set(np.cumsum([len(word) for word in words])[:-1].tolist())
    found = with_gaps(letters, pairs, ends, spaces, height)
    if found != spaces:
        text = joined_at(letters, found)
    cells = [
        (round(float(x0) / width, 4), round(float(x1) / width, 4), k + 1)
        for k, (x0, x1) in enumerate(pairs)
        if x1 - x0 > CELLS_APART * height
    ]
    return text, cells


def overshoot(text, at, crop):
    """Returns how much of a crop before the first letter and after the last belongs to others.

    Boxes of cells that stand close together overlap.

    Returns:
        Two parts of the width; 0 where it is no more than the usual margin of a box.
    """
    height, width = crop.shape[:2]
    if not at or is_han(text[0]) or is_han(text[-1]):
        return 0.0, 0.0
    pieces = inked(crop)
    left = max((x0 for x0, _ in pieces if x0 <= at[0]), default=0)
    right = min((x1 for _, x1 in pieces if x1 >= at[-1]), default=width)
    margin = MARGIN * height
    return tuple(
        round((space - margin) / width, 4) if space > 2 * margin else 0.0
        for space in (left, width - right)
    )


def joined_at(letters, spaces):
    """Returns letters with a space before those at the given places."""
    return "".join(" " * (k in spaces) + letter for k, letter in enumerate(letters))


def ink(crop):
    """Returns how much of each pixel is ink, from 0 to 1; shadows on the paper do not count."""
    height = crop.shape[0]
    margin = height // 12  # of lines above and below
    grey = crop[margin : height - margin].max(2).astype(np.float32)
    if 2 * np.median(grey) < grey.max() + grey.min():  # light on dark
        grey = 255 - grey
    paper = np.lib.stride_tricks.sliding_window_view(
        np.pad(grey.max(0), height // 2, mode="edge"), height // 2 * 2 + 1
    ).max(1)
    return (paper - grey) / np.maximum(paper - grey.min(), 1)


def stroke(crop):
    """Returns the mean width of what is inked from left to right, in pixels: bold has more."""
    shades = ink(crop)
    dark = np.pad(shades > INKED, ((0, 0), (1, 0)))
    runs = np.count_nonzero(dark[:, 1:] & ~dark[:, :-1])
    return float(shades.sum() / max(runs, 1))


def inked(crop):
    """Returns where ink begins and ends again, from left to right, as `(x0, x1)` in pixels."""
    dark = (ink(crop) > INKED).any(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark, [0]])))
    return edges.reshape(-1, 2).tolist()


def is_letter_spaced(letters, blank, crop):
    """Whether a wide gap parts every letter from the next."""
    height, width = crop.shape[:2]
    return (
        len(letters) >= 4
        and width >= WIDE * height * len(letters)
        and len(blank) == len(letters) - 1
        and not any(map(is_han, letters))
        and np.median([x1 - x0 for x0, x1 in blank]) >= SPACED * height
    )


def gap_between(left, right, blank):
    """Returns the widest of the blanks between two letters; off centre are those within letters."""
    middle = (left + right) / 2
    between = [(x0, x1) for x0, x1 in blank if left <= (x0 + x1) / 2 < right]
    return max(
        between,
        key=lambda gap: gap[1] - gap[0] - 0.3 * abs((gap[0] + gap[1]) / 2 - middle),
        default=(middle, middle),
    )


def with_gaps(letters, pairs, ends, spaces, height):
    """Returns before which letters a space stands, by what was read and by the gaps in the ink."""
    gaps = [x1 - x0 for x0, x1 in pairs]
    kinds = [is_han(a) + is_han(b) for a, b in pairwise(letters)]
    latin = [k for k, kind in enumerate(kinds) if kind == 0]
    apart = np.median([gaps[k] for k in latin if k + 1 in spaces] or [0])
    close = [gaps[k] for k in latin if k + 1 not in spaces] or [0]
    usual = np.quantile(close, 0.9, method="lower")
    factor = LIKE_LETTERS if apart else LIKE_LETTERS**1.5  # nothing to compare with
    word_gap = max(LATIN_GAP * height, LIKE_OTHERS * apart, factor * usual)
    room, em = squares(letters, pairs, ends, height)

    def is_apart(k):
        a, b = letters[k : k + 2]
        if k + 1 in spaces:
            return b not in ",.;:" or gaps[k] >= LIKE_OTHERS * apart or NUMERIC.match(a)
        if MARKS.match(a) or MARKS.match(b):
            return False
        if any(n + 1 in spaces and gaps[n] < gaps[k] for n in (k - 1, k + 1) if 0 <= n < len(gaps)):
            return False  # the gap of a space beside it: the places of letters are not exact
        if kinds[k]:
            least = HAN_ROOM if kinds[k] == 2 else LATIN_ROOM + ONE * ("1" in (a, b))
            return gaps[k] >= HAN_GAP * em and room[k] >= least * em
        return gaps[k] >= (max(word_gap, 1.5 * LATIN_GAP * height)
                           if NUMERIC.match(a) and NUMERIC.match(b) else word_gap)  # fmt: skip

    return {k + 1 for k in range(len(gaps)) if is_apart(k)}


def squares(letters, pairs, ends, height):
    """Returns how far apart letters stand, the squares of Chinese ones counted whole, and an em."""
    edges = [ends[0], *(x for pair in pairs for x in pair), ends[1]]
    ink = list(zip(edges[::2], edges[1::2], strict=True))
    middles = [(x0 + x1) / 2 for x0, x1 in ink]
    han = [is_han(letter) and not MARKS.match(letter) for letter in letters]
    steps = [(middles[k + 1] - middles[k], x1 - x0) for k, (x0, x1) in enumerate(pairs)
             if han[k] and han[k + 1]]  # fmt: skip
    close = [step for step, gap in steps if gap < HAN_GAP * EM * height]
    if 2 * len(close) < len(steps):  # all are apart: the line is letter-spaced
        close = [step for step, _ in steps]
    em = np.median(close) if len(close) > 1 else EM * height
    around = [
        (m - em / 2, m + em / 2) if square else edges
        for m, edges, square in zip(middles, ink, han, strict=True)
    ]
    return [x0 - x1 for (_, x1), (x0, _) in pairwise(around)], em
