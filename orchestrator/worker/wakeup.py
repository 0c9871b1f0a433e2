"""Wakes the supervisor when the worker begins to work, so that it may sleep while nothing happens.

A worker can fill a disk within seconds, and nothing in the standard library watches a file's size.
So the supervisor checks the log many times a second while jobs run. Checking an idle worker that
often would drain a battery.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.5
"""Seconds between two signals; the supervisor stays awake for longer than that after each."""


def wake_parent() -> None:
    """Send the parent of this process the signal that it waits for anyway.

    A parent that has died is no error; another process that gets the signal ignores it (signal(7)).
    """
    with contextlib.suppress(OSError):
        os.kill(os.getppid(), signal.SIGCHLD)


class Wakeup:
    """Signals when the worker begins to work, but not for each of a thousand small jobs.

    Attributes:
        due: The time of `time.monotonic` before which the next signal is not sent.
    """

    def __init__(self, wake: Callable[[], None] = wake_parent) -> None:
        self._wake = wake
        self.due = 0.0

    def send(self, now: float) -> None:
        """Send the signal if it is due; `now` is the time of `time.monotonic`."""
        if now >= self.due:
            self.due = now + INTERVAL
            self._wake()
