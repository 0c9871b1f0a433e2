"""Wakes the supervisor when the worker begins to work, so that it may sleep while nothing happens.

A worker can fill a disk within seconds, and nothing in the standard library tells of a file that
grows. So the supervisor looks at the log again and again while jobs run, and has to be told that
they do: to look that often at an idle worker would cost a battery.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 0.5
"""Seconds between two rings; the supervisor stays awake for longer than that after each."""


def wake_parent() -> None:
    """Send the parent of this process the signal that it waits for anyway.

    One that has died meanwhile is no error; whoever else would get it ignores it (signal(7)).
    """
    with contextlib.suppress(OSError):
        os.kill(os.getppid(), signal.SIGCHLD)


class Bell:
    """Rings when the worker begins to work, but not at every one of a thousand small jobs.

    Attributes:
        due: The time of `time.monotonic` before which it is not to ring again.
    """

    def __init__(self, wake: Callable[[], None] = wake_parent) -> None:
        self._wake = wake
        self.due = 0.0

    def ring(self, now: float) -> None:
        """Ring, if it is due; `now` is the time of `time.monotonic`."""
        if now >= self.due:
            self.due = now + PAUSE
            self._wake()
