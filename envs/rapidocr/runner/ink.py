"""What of the image of a line is ink: where it stands, and how wide its strokes are."""

from typing import NamedTuple

import numpy as np

INKED = 0.35
"""The part of the contrast of a line from which a pixel counts as ink."""
MARGIN = 0.12
"""Heights of a line: what its box has before and after its letters."""


class Ink(NamedTuple):
    """The ink of a line.

    Attributes:
        height, width: Of the line's image, in pixels.
        stroke: The width of strokes, in pixels: the area of the ink over the number of its runs
            from left to right and from top to bottom.
        pieces: Where ink begins and ends again, from left to right, as `(x0, x1)` in pixels.
    """

    height: int
    width: int
    stroke: float
    pieces: list

    def overshoot(self, at):
        """Returns how much before the first letter and after the last belongs to others.

        Boxes of cells that stand close together overlap.

        Args:
            at: The x of each letter.

        Returns:
            Two parts of the width; 0 where it is no more than the usual margin of a box.
        """
        left = max((x0 for x0, _ in self.pieces if x0 <= at[0]), default=0)
        right = min((x1 for _, x1 in self.pieces if x1 >= at[-1]), default=self.width)
        margin = MARGIN * self.height
        return tuple(
            round((space - margin) / self.width, 4) if space > 2 * margin else 0.0
            for space in (left, self.width - right)
        )


def ink_of(crop):
    """Returns the ink of the image of a line; shadows on the paper do not count."""
    height, width = crop.shape[:2]
    margin = height // 12  # of lines above and below
    blue, green, red = (crop[margin : height - margin, :, k].astype(np.int16) for k in range(3))
    grey = (blue + 2 * green + red) >> 2
    if 2 * np.count_nonzero(2 * grey < int(grey.max()) + grey.min()) > grey.size:
        grey = 255 - grey  # light on dark
    paper = np.maximum.reduceat(grey.max(0), np.arange(0, width, height))
    paper = np.maximum(paper, np.maximum(np.append(paper[1:], 0), np.append(0, paper[:-1])))
    paper = np.repeat(paper, height)[:width]
    shades = (paper - grey) / np.maximum(paper - grey.min(), 1).astype(np.float32)
    dark = shades > INKED
    runs = np.count_nonzero(dark[:, 1:] & ~dark[:, :-1]) + np.count_nonzero(dark[:, 0])
    runs += np.count_nonzero(dark[1:] & ~dark[:-1]) + np.count_nonzero(dark[0])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.any(0), [0]])))
    stroke = float(shades.sum()) / max(runs, 1)
    return Ink(height, width, stroke, edges.reshape(-1, 2).tolist())
