"""How far the reading of a page can be trusted."""

import numpy as np

from .paragraphs import advance
from .polygons import sides

DOUBTFUL = 0.85
"""The mean score per letter below which the page as a whole is doubtful."""
UNREAD = 0.5
"""So is one of which more than this is not read, by the length of lines."""
SPARSE = 3
"""A line so many times longer than its letters are was not read: its script is not known."""
CONTRAST = 24
"""Shades of grey between paper and what is on it."""
SPECKS = 2e-4
"""A page of which less than this differs from its colour is blank."""


def assess(lines, kept, turn, *, blank=False):
    """Returns figures of a page, as JSON values.

    Args:
        lines: All lines, as `read_lines` returns them.
        kept: Those whose text is delivered.
        turn: Degrees by which the page is to be turned clockwise.
        blank: Whether nothing is on the page.
    """
    letters = sum(len(line["text"]) for line in kept)
    score = sum(line["score"] * len(line["text"]) for line in kept) / letters if letters else None
    left_out = len(lines) - len(kept)
    unread = length(lines) - length(line for line in kept if not is_sparse(line))
    return {
        "score": score and round(score, 4),
        "lines": len(kept),
        "left_out": left_out,
        "turn": turn,
        "blank": blank,
        "doubtful": not blank
        and (score is None or score < DOUBTFUL or unread > UNREAD * length(lines)),
    }


def length(lines):
    return sum(float(sides(np.float32(line["polygon"]))[0]) for line in lines)


def is_sparse(line):
    """Whether a line has far fewer letters than there is room for."""
    long, short = sides(np.float32(line["polygon"]))
    return bool(long > SPARSE * short * sum(map(advance, line["text"])))


def warning(quality):
    """Returns why the page as a whole is doubtful, in one sentence."""
    found = quality["lines"] + quality["left_out"]
    if not found:
        return "no text was found, though the page is not blank"
    score = f"{quality['score']:.2f}" if quality["score"] else "none"
    return (
        f"the page is hardly legible: mean score {score}, "
        f"{quality['left_out']} of {found} lines left out; try a sharper or larger image, "
        "or another model where the script is not Latin, Chinese or Japanese"
    )


def is_blank(page):
    """Whether nothing is on a page but its colour, and a few specks."""
    import cv2

    grey = cv2.cvtColor(page, cv2.COLOR_BGR2GRAY)
    return bool(np.mean(np.abs(grey - np.median(grey)) > CONTRAST) < SPECKS)
