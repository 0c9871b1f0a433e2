"""Finds the lines of text on a page, at several scales and in tiles."""

import math

import numpy as np

from .crops import cut_out, laid, shrink
from .polygons import INSIDE, bounds, covered, join, rest_of, sides

TILE, OVERLAP = 2000, 200
"""Pixels: the side of what the detector sees at once, and what two neighbours share."""
ZOOM = 4
"""Each finer search sees this many times more; the detector knows letters of 10 to 100 pixels."""
LEGIBLE = 28
"""Pixels: the height of lines that a coarse search may keep; smaller ones wait for a finer one."""
SPECKS = 8
"""A tile with fewer pixels of contrast than this, outside of known lines, holds no text."""
MARGIN = 32


def find_lines(model, page, job):
    """Returns the lines of text as polygons of 4 x 2 float32, in pixels of the page.

    Large letters are found in a reduced image, small ones in tiles of finer ones, where something
    is left to be found.
    """
    import cv2

    scales = [1.0]
    while max(page.shape[:2]) * scales[0] > TILE:
        scales.insert(0, max(scales[0] / ZOOM, TILE / max(page.shape[:2])))
    found = []
    for scale in scales:
        level = page if scale == 1 else shrink(page, scale)
        edges = cv2.Laplacian(cv2.cvtColor(level, cv2.COLOR_BGR2GRAY), cv2.CV_8U) > 32
        for polygon in found:
            x0, y0, x1, y1 = np.int32(bounds(polygon) * scale)
            edges[y0 : y1 + 1, x0 : x1 + 1] = False
        starts = [(x, y) for y in cuts(level.shape[0]) for x in cuts(level.shape[1])]
        here = []
        for number, (x, y) in enumerate(starts):
            if job.cancelled:
                return []
            job.progress(number, len(starts), "looking for text")
            tile = np.s_[y : y + TILE, x : x + TILE]
            if np.count_nonzero(edges[tile]) >= SPECKS:
                here += [(number, p + np.float32((x, y))) for p in detect(model, level[tile])]
        for polygon in (p / np.float32(scale) for p in join(here)):
            if scale < 1 and not (
                sides(polygon)[1] * scale >= LEGIBLE and is_one_line(laid(cut_out(page, polygon)))
            ):
                continue
            # Narrow columns may be one line at this scale, of which a coarser one has found a part.
            known = [other for other in found if covered(other, polygon) > INSIDE]
            found += [
                part
                for part in rest_of(polygon, known)
                if not any(covered(part, other) > INSIDE for other in found)
            ]
    return found


def is_one_line(crop):
    """Whether no blank row runs through a line, as it does where small lines blurred into one."""
    height, width = crop.shape[:2]
    contrast = np.ptp(crop.max(2), axis=1)
    inked = np.concatenate([[False], contrast > 0.4 * contrast.max(), [False]])
    edges = np.flatnonzero(inked[1:] != inked[:-1])
    thick = np.diff(edges)[::2] > 0.15 * height
    return width < 3 * height or np.count_nonzero(thick) < 2


def cuts(length):
    """Returns where tiles begin that cover `length` pixels, each sharing some with the next."""
    count = max(1, math.ceil((length - OVERLAP) / (TILE - OVERLAP)))
    return [round(i * (length - TILE) / (count - 1)) if count > 1 else 0 for i in range(count)]


def detect(model, tile):
    """Returns the polygons in one tile.

    The tile is given a margin of its own colour first: letters that touch the edge are missed, and
    the detector wants sides that 32 divides.
    """
    import cv2
    from rapidocr.main import RapidOCRError

    height, width = tile.shape[:2]
    edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
    below, right = (MARGIN + -(side + 2 * MARGIN) % 32 for side in (height, width))
    colour = np.median(edge, axis=0).tolist()
    framed = cv2.copyMakeBorder(
        tile, MARGIN, below, MARGIN, right, cv2.BORDER_CONSTANT, value=colour
    )
    try:
        _, result = model.detect_and_crop(framed, {})
    except RapidOCRError:  # its word for "no text here"
        return []
    polygons = np.float32(result.boxes) - MARGIN
    return list(np.clip(polygons, 0, np.float32((width - 1, height - 1))))
