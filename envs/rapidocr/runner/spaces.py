"""Words of letter-spaced lines, which the reader runs together or tears apart."""

import re

import numpy as np

from .text import is_han

WIDE = 0.6
"""Width of a letter with its gap, over the height of its line, above which a line may be spaced."""
SPACED = 0.15
"""Width of a usual gap, over the height of the line, of letter-spaced text."""
BETWEEN_WORDS = 1.7
"""A gap this much wider than the usual one is one between words."""


def respaced(text, crop):
    """Returns the text of a letter-spaced line with spaces where its ink has wide gaps.

    Only where every letter stands apart from the next can they be told: there are as many inked
    stretches as letters. Every other text is returned as it is.
    """
    letters = re.sub(r"\s", "", text)
    height, width = crop.shape[:2]
    if len(letters) < 4 or width < WIDE * height * len(letters) or any(map(is_han, letters)):
        return text
    grey = crop.max(2).astype(int)
    dark = np.abs(grey - np.median(grey)) > 0.35 * np.ptp(grey)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.any(0), [0]])))
    gaps = edges[2::2] - edges[1:-1:2]
    if len(gaps) != len(letters) - 1 or np.median(gaps) < SPACED * height:
        return text
    ends = gaps > BETWEEN_WORDS * np.median(gaps)
    return "".join(
        letter + " " * bool(end) for letter, end in zip(letters, [*ends, False], strict=True)
    )
