"""The images of single lines, cut out of the page."""

import math
from itertools import pairwise

import numpy as np

from .polygons import TALL, sides

READER_HEIGHT = 48
"""Pixels: the height of the recogniser's input."""
STUMP = 3
"""Widths: what is tall, and shorter than this, may be a single narrow letter, upright."""
LONGEST = 32
"""Heights: a longer line is read in parts; the recogniser's memory grows with the square."""


def cut_out(page, polygon):
    """Returns what lies under `polygon`, level; large lines are reduced, without aliasing.

    The shorter side decides the scale: letters are as high as that, whichever way a line runs.
    """
    import cv2

    x0, y0 = np.int32(np.floor(polygon.min(0)))
    x1, y1 = np.int32(np.ceil(polygon.max(0))) + 1
    part, corners = page[y0:y1, x0:x1], polygon - np.float32((x0, y0))
    scale = 2 * READER_HEIGHT / max(sides(polygon)[1], 1)
    if scale < 0.8:
        part, corners = shrink(part, scale), corners * np.float32(scale)
    a, b, c, d = corners
    width = max(1, int(max(np.linalg.norm(a - b), np.linalg.norm(c - d))))
    height = max(1, int(max(np.linalg.norm(a - d), np.linalg.norm(b - c))))
    level = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    return cv2.warpPerspective(
        part,
        cv2.getPerspectiveTransform(corners, level),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def turned(crop, degrees):
    """Returns an image turned clockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(crop, -degrees // 90)) if degrees % 360 else crop


def is_tall_crop(crop):
    return crop.shape[0] >= TALL * crop.shape[1]


def is_stump(crop):
    """Whether a crop may hold a single letter, higher than wide."""
    return is_tall_crop(crop) and crop.shape[0] < STUMP * crop.shape[1]


def laid(crop):
    """Returns a line that runs down the page as one that runs to the right."""
    return turned(crop, 270) if is_tall_crop(crop) else crop


def upright_letters(crop):
    """Returns a line of square letters that runs down the page as a row of its letters, upright.

    What is small and stands high on the right, marks and small kana, goes down to the left, where
    it stands in a row.
    """
    dark = crop.max(2) < (int(crop.min()) + int(crop.max())) / 2
    if dark.mean() > 0.5:
        dark = ~dark
    paper = np.median(crop[~dark], axis=0) if not dark.all() else crop[0, 0]
    cells = []
    for y0, y1 in pairwise(letter_edges(dark)):
        cell, ink = crop[y0:y1], np.argwhere(dark[y0:y1])
        if len(ink):
            (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
            size = y1 - y0
            if max(bottom - top, right - left) < 0.65 * size and left > 0.4 * crop.shape[1]:
                small, cell = cell[top:bottom, left:right], np.empty_like(cell)
                cell[:] = paper
                low, edge = size - max(2, size // 10), (crop.shape[1] - size) // 2 + size // 10
                cell[low - len(small) : low, edge : edge + small.shape[1]] = small
        cells.append(cell)
    height = max(map(len, cells))
    padded = [np.pad(c, ((0, height - len(c)), (0, 0), (0, 0)), mode="edge") for c in cells]
    return np.concatenate(padded, axis=1)


def letter_edges(dark):
    """Returns where square letters below each other begin, and where the last one ends.

    Their distance is the one at which the cuts between them meet least ink.
    """
    height, width = dark.shape
    ink = np.convolve(dark.sum(1), np.ones(3), "same")
    inked = np.flatnonzero(ink)
    if not len(inked):
        return [0, height]
    best = (math.inf, 0.0, 0.0)
    for step in np.linspace(0.6, 1.1, 51) * width:
        for first in np.arange(inked[0] - 0.3 * step, inked[0] + 2):
            cuts = np.arange(first, inked[-1] + step, step)
            at = np.clip(cuts.astype(int), 0, height - 1)
            best = min(best, (ink[at].mean(), first, step))
    _, first, step = best
    cuts = np.arange(first, inked[-1] + 0.5 * step, step)
    return sorted({int(np.clip(v, 0, height)) for v in (*cuts, cuts[-1] + step)})


def parts_of(crop):
    """Returns a line in parts that are not too long for the recogniser, cut where it is blank."""
    height, width = crop.shape[:2]
    if width <= LONGEST * height:
        return [crop]
    middle = width // 2
    window = crop[:, middle - 4 * height : middle + 4 * height]
    ink = np.ptp(window.reshape(height, -1), axis=0).reshape(-1, 3).max(1)
    blank = np.convolve(ink, np.ones(max(1, height // 5)), "same")  # as wide as between words
    cut = middle - 4 * height + int(blank.argmin())
    return [*parts_of(crop[:, :cut]), *parts_of(crop[:, cut:])]


def shrink(image, scale):
    import cv2

    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
