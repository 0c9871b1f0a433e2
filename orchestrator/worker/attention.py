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

MOMENT = 0.0001
"""Seconds of looking: about what it costs to be woken."""


def attend(poll: Callable[[int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return what `poll` (of `select.poll` or `select.epoll`) finds within a moment.

    The processor is offered to others meanwhile: to the other side, where both share one, but also
    to whoever else is busy, which takes longer.
    """
    ready = poll(0)
    if ready:
        return ready
    until = time.monotonic() + MOMENT
    while not ready and time.monotonic() < until:
        os.sched_yield()
        ready = poll(0)
    return ready
