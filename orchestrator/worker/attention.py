"""A short wait with open eyes, before a long one.

Used by both sides. A small job is done sooner than a thread that sleeps is woken on another
processor, so that whoever expects something at once looks for it for a moment before sleeping.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = 0.0005
"""Seconds of looking: more than it takes to wake the other side and to have a small job done there
(0.15 ms). Else two sides that have slept once would wait for each other's waking for ever.
"""

REST = 0.1
"""Seconds without a look after one in which others had the processor. A sleeper gets it back when
something has come, and who only gives way waits for its turn: milliseconds, where all are busy."""


class Attention:
    """Somebody who waits again and again.

    Args:
        clock: Tells the time in seconds; a port for tests, like the next.
        give_way: Offers the processor to others.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        give_way: Callable[[], None] = os.sched_yield,
    ) -> None:
        self._clock = clock
        self._give_way = give_way
        self._next = 0.0  # the time from which on it looks again

    def look(self, poll: Callable[[int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Return what `poll` (of `select.poll` or `select.epoll`) finds, now or within a moment.

        The processor is offered to others meanwhile: to the other side, where both share one.
        """
        ready = poll(0)
        now = self._clock()
        if ready or now < self._next:
            return ready
        until = now + MOMENT
        while not ready and now < until:
            self._give_way()
            ready = poll(0)
            now = self._clock()
        if now > until + MOMENT:
            self._next = now + REST
        return ready
