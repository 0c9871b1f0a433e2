"""A request to stop that reaches a caller while it waits for its worker."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable


class Cancellation:
    """Asks one job to stop, from another thread or from a signal handler.

    The first `request` asks the runner; a second one means: at once. After `close` a request does
    nothing.

    Attributes:
        armed: Whether a caller waits for a worker and would notice a request.
    """

    def __init__(self) -> None:
        self.armed = False
        # A signal handler may run while its own thread holds it.
        self._lock = threading.RLock()
        self._closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Return a descriptor that is readable while there are requests to `drain`."""
        return self._reader

    def request(self) -> None:
        """Ask once more."""
        with self._lock:
            if not self._closed:  # else the descriptor's number may be another file's by now
                with contextlib.suppress(BlockingIOError):  # a full pipe says enough
                    os.write(self._writer, b"!")

    def drain(self) -> int:
        """Return how many requests have come since the last call."""
        with self._lock:
            if self._closed:
                return 0
            try:
                return len(os.read(self._reader, 64))
            except BlockingIOError:
                return 0

    def close(self) -> None:
        """Give the descriptors back, once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._reader)
                os.close(self._writer)


def asked_to_stop(cancellation: Cancellation | None) -> Callable[[], bool]:
    """Return what says whether a cancellation was requested; it takes no note of it."""
    if cancellation is None:
        return lambda: False
    poller = select.poll()
    poller.register(cancellation, select.POLLIN)
    return lambda: bool(poller.poll(0))
