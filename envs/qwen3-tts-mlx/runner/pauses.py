"""The silence between two pieces."""

import numpy as np

PAUSES = {"clause": 0.1, "sentence": 0.35, "paragraph": 0.8}
"""Seconds between two pieces, what is quiet in the pieces themselves included."""
QUIET = 0.003
"""Samples below this are not heard."""


def pause_between(before, after, rate, kind):
    """Returns the silence that makes a pause of that kind of what two sounds have of it."""
    quiet = edge(before[::-1]) + edge(after)
    return np.zeros(max(0, round(PAUSES[kind] * rate) - quiet), np.float32)


def edge(wave):
    """Returns how many samples are not heard at the beginning."""
    loud = np.flatnonzero(np.abs(wave) > QUIET)
    return int(loud[0]) if loud.size else len(wave)
