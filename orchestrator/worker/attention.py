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
"""Seconds of looking: about what it costs to be woken. Giving way to a busy process takes longer."""


def attend(poll: Callable[[int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return what `poll` (of `select.poll` or `select.epoll`) finds within a moment.

    The processor is offered to others meanwhile: to the other side first, where both share one.
    """
    until = time.monotonic() + MOMENT
    while True:
        os.sched_yield()
        ready = poll(0)
        if ready or time.monotonic() >= until:
            return ready
