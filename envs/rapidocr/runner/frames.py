"""Frames that are drawn on a page, and the cells of ruled tables."""

import numpy as np

LARGEST = 2000
"""Pixels: the longer side at which lines are looked for."""
SHORTEST = 30
"""Pixels: what is drawn longer than this is a rule, and no stroke of a letter."""
LONG = 0.15
"""Of the width of the page: the least length of a rule that parts what is above from below."""
TABLE_RULES = 3
"""So many rules of one length are those of a table."""
MOST = 1000
"""More frames than this are a pattern, such as squared paper."""
THICK = 10
"""Pixels: cells that are no farther apart than this share a rule."""


def find_frames(page):
    """Returns what is drawn on a page, as x0, y0, x1, y1 in its pixels.

    Returns:
        The rectangles that rules enclose, and the single rules that run across the page.
    """
    import cv2

    height, width = page.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    grey = cv2.cvtColor(page, cv2.COLOR_BGR2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ink = cv2.adaptiveThreshold(
        grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 25, 15
    )
    across = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, SHORTEST), np.uint8))
    down = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((SHORTEST, 1), np.uint8))
    drawn = cv2.dilate(across | down, np.ones((3, 3), np.uint8))
    outlines, nesting = cv2.findContours(drawn, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline, (_, _, _, parent) in zip(
        outlines, () if nesting is None else nesting[0], strict=True
    ):
        x, y, w, h = cv2.boundingRect(outline)
        if parent >= 0 and min(w, h) > 10 and cv2.contourArea(outline) > 0.85 * w * h:
            found.append(tuple(round(v / scale, 1) for v in (x, y, x + w, y + h)))
    rules = []
    outlines, _ = cv2.findContours(across, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for x, y, w, h in map(cv2.boundingRect, outlines):
        if w > LONG * grey.shape[1] and 2 * h <= THICK:
            rules.append(tuple(round(v / scale, 1) for v in (x, y, x + w, y + h)))
    return (found, single(rules, found)) if len(found) <= MOST else ([], [])


def single(rules, frames):
    """Returns the rules that are no part of frames, nor of a table ruled by lines of one length."""
    free = [rule for rule in rules if not any(touches(rule, frame) for frame in frames)]
    return [
        rule
        for rule in free
        if sum(abs(rule[0] - r[0]) + abs(rule[2] - r[2]) < 2 * THICK for r in free) < TABLE_RULES
    ]


def touches(rule, frame):
    x0, y0, x1, y1 = frame
    return (
        rule[0] < x1 and rule[2] > x0
        and min(abs(rule[3] - y0), abs(rule[1] - y1)) <= THICK
    )  # fmt: skip


def grids(frames, boxes):
    """Returns frames with text, those that share rules together, as the cells of one table.

    A frame around others with text, as the border of a page, says nothing about the order.

    Returns:
        A list of lists of `(frame, boxes)`; no box is in two frames.
    """
    filled = [f for f in {*frames} if any(holds(f, b) for b in boxes)]
    frames = [f for f in {*frames} if not any(f != g and holds_frame(f, g) for g in filled)]
    inside = {frame: [] for frame in frames}
    for box in boxes:
        around = [frame for frame in frames if holds(frame, box)]
        if around:
            inside[min(around, key=area)].append(box)
    groups = []
    for frame in sorted(frames):
        touching = [group for group in groups if any(beside(frame, other) for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([frame, *(other for group in touching for other in group)])
    return [
        [(frame, inside[frame]) for frame in group]
        for group in groups
        if any(inside[frame] for frame in group)
    ]


def area(frame):
    return (frame[2] - frame[0]) * (frame[3] - frame[1])


def holds(frame, box):
    x0, y0, x1, y1 = frame
    return x0 <= box.centre < x1 and y0 <= box.middle < y1


def holds_frame(frame, other):
    return (
        frame[0] <= other[0] and frame[1] <= other[1]
        and frame[2] >= other[2] and frame[3] >= other[3]
    )  # fmt: skip


def beside(one, other):
    """Whether two rectangles share a rule."""
    apart_x = max(one[0], other[0]) - min(one[2], other[2])
    apart_y = max(one[1], other[1]) - min(one[3], other[3])
    return (0 <= apart_x <= THICK and apart_y < 0) or (0 <= apart_y <= THICK and apart_x < 0)
