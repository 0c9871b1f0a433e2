"""Requests to stop that come while the thread that runs the job waits for the cluster."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.jobs.cancellation import Cancellation


END, WAIT_AGAIN = b"e", b"w"
"""To the thread. Not every selector sees a descriptor that is registered while it waits."""


class CancellationListener:
    """One thread that waits for requests to stop of all jobs under way."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reader, self._writer = os.pipe()
        self._selector.register(self._reader, selectors.EVENT_READ, None)

    @contextlib.contextmanager
    def listening(
        self, cancellation: Cancellation | None, on_request: Callable[[], None]
    ) -> Iterator[None]:
        """Call `on_request`, in another thread, at each request that comes in the body."""
        if cancellation is None:
            yield
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen, name="mm-cancellations", daemon=True
                )
                self._thread.start()
            self._selector.register(cancellation, selectors.EVENT_READ, (cancellation, on_request))
        os.write(self._writer, WAIT_AGAIN)
        cancellation.armed = True
        try:
            yield
        finally:
            cancellation.armed = False
            with self._lock:
                self._selector.unregister(cancellation)

    def close(self) -> None:
        """End the thread."""
        os.write(self._writer, END)
        if self._thread is not None:
            self._thread.join()
        self._selector.close()
        os.close(self._reader)
        os.close(self._writer)

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    if END in os.read(self._reader, 4096):
                        return
                    continue
                cancellation, on_request = key.data
                with self._lock:
                    # It may have ended, and its descriptor been closed, since `select` returned.
                    mine = self._selector.get_map().get(key.fd)
                    if mine is None or mine.data is not key.data:
                        continue
                    times = cancellation.drain()
                for _ in range(times):
                    on_request()
