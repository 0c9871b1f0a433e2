"""A short busy wait before a blocking one.

Used by both sides. A small job takes less time than waking a sleeping thread on another processor,
so a thread that expects a message at once polls for a moment before it sleeps.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable

SPIN_SECONDS = 0.0005
"""How long to poll: more than it takes to wake the other side and to run a small job there
(0.15 ms). Else two sides that have slept once would wait for each other's waking for ever.
"""

BACKOFF_SECONDS = 0.1
"""How long not to spin after a spin in which other threads had the processor. A thread that sleeps
gets it back when a message comes; one that only yields waits its turn, for milliseconds on a busy
machine."""


class SpinWait:
    """Polls for a moment, unless the last spin was of no use.

    Args:
        clock: Returns the time in seconds; a port for tests, like the next.
        yield_cpu: Offers the processor to other threads.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        yield_cpu: Callable[[], None] = os.sched_yield,
    ) -> None:
        self._clock = clock
        self._yield_cpu = yield_cpu
        self._next = 0.0  # when it may spin again

    def poll(self, poll: Callable[[int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Return what `poll` (of `select.poll` or `select.epoll`) finds, now or within a moment.

        It yields the processor meanwhile: to the other side, where both share one.
        """
        ready = poll(0)
        now = self._clock()
        if ready or now < self._next:
            return ready
        until = now + SPIN_SECONDS
        while not ready and now < until:
            self._yield_cpu()
            ready = poll(0)
            now = self._clock()
        if now > until + SPIN_SECONDS:
            self._next = now + BACKOFF_SECONDS
        return ready
