"""How far the reading of a page can be trusted."""

import numpy as np

DOUBTFUL = 0.8
"""The mean score per letter below which the page as a whole is doubtful."""
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
    return {
        "score": score and round(score, 4),
        "lines": len(kept),
        "left_out": left_out,
        "turn": turn,
        "blank": blank,
        "doubtful": not blank and (score is None or score < DOUBTFUL or left_out > len(kept)),
    }


def warning(quality):
    """Returns why the page as a whole is doubtful, in one sentence."""
    found = quality["lines"] + quality["left_out"]
    if not found:
        return "no text was found, though the page is not blank"
    score = f"{quality['score']:.2f}" if quality["score"] else "none"
    return (
        f"the page is hardly legible: mean score {score}, "
        f"{quality['left_out']} of {found} lines left out; try a sharper or larger image"
    )


def is_blank(page):
    """Whether nothing is on a page but its colour, and a few specks."""
    import cv2

    grey = cv2.cvtColor(page, cv2.COLOR_BGR2GRAY)
    return bool(np.mean(np.abs(grey - np.median(grey)) > CONTRAST) < SPECKS)
