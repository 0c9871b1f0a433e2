"""A request to stop that reaches a caller while it waits for its worker."""

from __future__ import annotations

import os


class Cancellation:
    """Asks one job to stop, from another thread or from a signal handler.

    The first `request` asks the runner; a second one means: at once.

    Attributes:
        armed: Whether somebody waits for a worker and will hear a request.
    """

    def __init__(self) -> None:
        self.armed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Return a descriptor that is readable once a request has come."""
        return self._reader

    def request(self) -> None:
        """Ask once more. Takes no lock, so that a signal handler may call it."""
        os.write(self._writer, b"!")

    def drain(self) -> None:
        """Make `fileno` wait for the next request."""
        try:
            os.read(self._reader, 64)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reader)
        os.close(self._writer)
