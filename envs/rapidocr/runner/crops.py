"""The images of single lines, cut out of the page."""

import numpy as np

from .polygons import sides

READER_HEIGHT = 48
"""Pixels: the height of the recogniser's input."""
LONGEST = 32
"""Heights: a longer line is read in parts; the recogniser's memory grows with the square."""


def cut_out(page, polygon):
    """Returns the line under `polygon`, laid level; large ones are reduced, without aliasing."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    x0, y0 = np.int32(np.floor(polygon.min(0)))
    x1, y1 = np.int32(np.ceil(polygon.max(0))) + 1
    part, corners = page[y0:y1, x0:x1], polygon - np.float32((x0, y0))
    scale = 2 * READER_HEIGHT / max(sides(polygon)[1], 1)
    if scale < 0.8:
        part, corners = shrink(part, scale), corners * np.float32(scale)
    return get_rotate_crop_image(part, corners)


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


def turn(crop):
    return np.ascontiguousarray(crop[::-1, ::-1])


def shrink(image, scale):
    import cv2

    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
