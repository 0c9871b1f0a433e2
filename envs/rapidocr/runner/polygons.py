"""Quadrilaterals around lines of text: 4 x 2 float32, clockwise from where the line begins."""

import numpy as np

INSIDE = 0.5
"""A line of which more than this lies in another is a piece of that one."""
TALL = 1.5
"""A box this much higher than wide holds a line that runs down or up, or a single narrow letter."""


def join(pieces):
    """Returns the polygons of `(tile, polygon)`, with lines made whole that a tile's edge cut."""
    import cv2

    whole = []
    for tile, polygon in pieces:
        apart, grown = [], polygon
        for other_tile, other in whole:
            inside, around = covered(other, grown), covered(grown, other)
            if other_tile == tile or max(inside, around) == 0:
                apart.append((other_tile, other))
            elif same_line(other, grown):
                corners = cv2.boxPoints(cv2.minAreaRect(np.concatenate([other, grown])))
                grown = from_top_left(corners)
            elif max(inside, around) < INSIDE:
                apart.append((other_tile, other))
            elif around > inside:
                grown = other
        whole = [*apart, (tile, grown)]
    return [polygon for _, polygon in whole]


def same_line(one, other):
    """Whether two polygons that touch lie along one line, at one size."""
    (_, high), (_, higher) = sorted((sides(one), sides(other)), key=lambda side: side[1])
    corner = 1 if is_tall(one) and is_tall(other) else 3
    across = (one[corner] - one[0] + other[corner] - other[0]) / 2
    offset = abs(np.dot(one.mean(0) - other.mean(0), across / np.linalg.norm(across)))
    return higher < 1.6 * high and offset < 0.4 * high


def rest_of(polygon, known):
    """Returns the parts of a line that none of the known lines in it covers.

    What is left between them and at the ends counts from the line's height on.
    """
    corner, other = (3, 1) if is_tall(polygon) else (1, 3)
    length, height = sides(polygon)
    along = (polygon[corner] - polygon[0]) / length
    spans = sorted(
        (((line - polygon[0]) @ along).min(), ((line - polygon[0]) @ along).max()) for line in known
    )
    parts, start = [], 0.0
    for low, high in [*spans, (length, length)]:
        if low - start > height:
            one, two = start * along, low * along
            side = polygon[other] - polygon[0]
            parts.append(from_top_left(polygon[0] + np.float32([one, two, two + side, one + side])))
        start = max(start, high)
    return parts if known else [polygon]


def from_top_left(corners):
    """Orders four corners clockwise from the top left one."""
    by_x = corners[np.argsort(corners[:, 0])]
    left, right = (pair[np.argsort(pair[:, 1])] for pair in (by_x[:2], by_x[2:]))
    return np.float32([left[0], right[0], right[1], left[1]])


def bounds(polygon):
    return np.concatenate([polygon.min(0), polygon.max(0)])


def sides(polygon):
    """Returns the longer and the shorter side: the length and the height of a line."""
    across, down = np.linalg.norm(polygon[1] - polygon[0]), np.linalg.norm(polygon[3] - polygon[0])
    return max(across, down), min(across, down)


def is_tall(polygon):
    """Whether a line runs down or up: a vertical one, or any on a page that lies on its side."""
    across, down = np.linalg.norm(polygon[1] - polygon[0]), np.linalg.norm(polygon[3] - polygon[0])
    return down >= TALL * across


def covered(polygon, other):
    """Returns the part of `polygon` that lies in `other`, from 0 to 1."""
    import cv2

    if (polygon.min(0) > other.max(0)).any() or (other.min(0) > polygon.max(0)).any():
        return 0.0
    return cv2.intersectConvexConvex(polygon, other)[0] / max(cv2.contourArea(polygon), 1.0)
