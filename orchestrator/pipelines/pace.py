"""How fast a step makes its items, and how long those that are left will take."""

from __future__ import annotations

from collections import deque

RECENT = 50
"""Items whose pace counts."""

BASIS = 4
"""Items, at least, from whose pace that of others is concluded."""


class Pace:
    """Measures by the clock on the wall, so that what a step waits for counts as well.

    Args:
        ahead: How many items the step may be ahead of others: these it makes before it waits for
            them, and they do not count. At its end it is as many before the others.
    """

    def __init__(self, ahead: int = 0) -> None:
        self._ahead = ahead
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def count(self, made: int, moment: float) -> None:
        """Take how many items are made in all at a moment, in seconds; kept ones are not made."""
        if made > self._ahead:
            self._recent.append((made, moment))

    def left(self, items: int) -> float | None:
        """Return the seconds until so many items are made, and the others have done with them.

        None while there is no basis for it.
        """
        if not self._recent:
            return None
        (first, began), (last, ended) = self._recent[0], self._recent[-1]
        if last - first < BASIS:
            return None
        return (items + self._ahead) * (ended - began) / (last - first)
