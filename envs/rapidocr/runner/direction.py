"""The direction in which the lines of a page run."""

import math
import statistics

from .blocks import Box


def level_boxes(lines, *, turned=False):
    """Returns the lines as boxes of a page that lies straight.

    Args:
        lines: As `read_lines` returns them.
        turned: Whether the page stands on its head.
    """
    angles = [
        math.atan2(b[1] - a[1], b[0] - a[0])
        for a, b, _, d in (line["polygon"] for line in lines)
        if math.dist(a, b) > 2 * math.dist(a, d)
    ]
    angle = (statistics.median(angles) if angles else 0.0) + (math.pi if turned else 0.0)
    cos, sin = math.cos(angle), math.sin(angle)
    boxes = []
    for index, line in enumerate(lines):
        xs = sorted(x * cos + y * sin for x, y in line["polygon"])
        ys = sorted(y * cos - x * sin for x, y in line["polygon"])
        edges = (sum(pair) / 2 for pair in (xs[:2], ys[:2], xs[2:], ys[2:]))
        boxes.append(Box(index, *edges, line["text"]))
    return boxes
