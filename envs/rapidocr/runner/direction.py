"""The direction in which the lines of a page run."""

import math
import statistics
from itertools import accumulate

from .boxes import Box
from .crops import is_stump, laid, parts_of, turned, upright_letters
from .polygons import is_tall, sides
from .text import is_han

SAMPLE = 4
"""Parts of lines that are read before all others: in two directions, where need be."""
SURE = 0.9
"""The score from which a line, or a page by the mean of some, is taken to lie the right way up."""
BETTER = 0.05
"""The page is turned for a mean score that is better by this; else it stays as it is."""
LEGIBLE = 0.6
"""The mean score below which lines say nothing about the page."""
ALIKE = 0.5
"""Of two readings of a line this part of the letters is the same: both are right."""


def find_turn(polygons, crops, read):
    """Returns by how much a page is to be turned clockwise, and the lines that were read for it.

    The boxes decide between upright and lying, the scores of a few lines between the two ways of
    each. Lines that run down the page are vertical Chinese or Japanese where their letters, set
    upright side by side, read the same.

    Args:
        polygons: The lines.
        crops: Their images, as they lie on the page.
        read: Takes images, returns `(text, score)` of each.

    Returns:
        0, 90, 180 or 270, `(text, score)` by the number of the line, and whether the page is one of
        vertical text.
    """
    tall = [i for i, p in enumerate(polygons) if is_tall(p) and not is_stump(crops[i])]
    wide = [i for i, polygon in enumerate(polygons) if not is_tall(polygon)]
    lying = length(polygons, tall) > length(polygons, wide)
    images = sample({i: laid(crops[i]) for i in (tall if lying else wide)})
    if not images:
        return 0, {}, False
    lines, turn = read([*images.values()]), 270 if lying else 0
    if mean_score(lines) < SURE:
        backward = read([turned(image, 180) for image in images.values()])
        if mean_score(backward) > mean_score(lines) + BETTER:
            lines, turn = backward, 90 if lying else 180
    if mean_score(lines) < LEGIBLE:
        return 0, {}, False
    upright = read([upright_letters(crops[i]) for i in images]) if turn == 270 else []
    vertical = bool(upright) and is_vertical(lines, upright)
    if vertical:
        turn = 0
        lines = [max(pair, key=certainty) for pair in zip(upright, lines, strict=True)]
    return turn, dict(zip(images, lines, strict=True)), vertical


def certainty(line):
    """Orders readings: sure ones by their letters, then by score."""
    text, score = line
    return (len(text), score) if score >= SURE else (0, score)


def sample(images):
    """Returns the lines with the widest parts, as many as the reader reads at once."""
    parts = {i: [part.shape[1] / part.shape[0] for part in parts_of(images[i])] for i in images}
    widest = sorted(images, key=lambda i: -max(parts[i]))
    count = accumulate(len(parts[i]) for i in widest)
    return {i: images[i] for i, so_far in zip(widest, count, strict=True) if so_far <= SAMPLE}


def length(polygons, some):
    return sum(sides(polygons[i])[0] for i in some)


def mean_score(lines):
    return statistics.fmean(score for _, score in lines)


def is_vertical(lines, upright):
    """Whether lines are of Chinese or Japanese, and read the same with their letters upright."""
    text = "".join(text for text, _ in lines)
    if 2 * sum(map(is_han, text)) <= len(text):
        return False
    same = sum(
        len(set(one) & set(other)) for (one, _), (other, _) in zip(lines, upright, strict=True)
    )
    return same > ALIKE * sum(len(set(one)) for one, _ in lines)


def level_boxes(lines, *, turn=0):
    """Returns the lines as boxes of a page that lies straight.

    Args:
        lines: As `read_lines` returns them.
        turn: Degrees by which the page is to be turned clockwise.
    """
    angle = skew(line["polygon"] for line in lines) - turn
    return [
        Box(index, *level_edges(line["polygon"], angle), line["text"])
        for index, line in enumerate(lines)
    ]


def level_edges(polygon, degrees):
    """Returns x0, y0, x1, y1 of a polygon on a page whose lines run at an angle."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    xs = sorted(x * cos + y * sin for x, y in polygon)
    ys = sorted(y * cos - x * sin for x, y in polygon)
    return tuple(sum(pair) / 2 for pair in (xs[:2], ys[:2], xs[2:], ys[2:]))


def skew(polygons):
    """Returns the angle of the longer lines with the nearest edge of the page, in degrees."""
    angles = []
    for a, b, _, d in polygons:
        across, down = math.dist(a, b), math.dist(a, d)
        if max(across, down) > 2 * min(across, down):
            x, y = (b[0] - a[0], b[1] - a[1]) if across > down else (d[1] - a[1], a[0] - d[0])
            angles.append(math.degrees(math.atan2(y, x)))
    return statistics.median(angles) if angles else 0.0
