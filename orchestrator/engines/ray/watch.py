"""Requests to stop, heard while the thread that runs the job waits for the cluster."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.client.cancellation import Cancellation


class Watch:
    """One thread that listens to the cancellations of all jobs under way."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reader, self._writer = os.pipe()
        self._selector.register(self._reader, selectors.EVENT_READ, None)

    @contextlib.contextmanager
    def over(self, cancellation: Cancellation | None, act: Callable[[], None]) -> Iterator[None]:
        """Call `act`, in another thread, at each request that comes while the body runs."""
        if cancellation is None:
            yield
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="mm-watch", daemon=True)
                self._thread.start()
            self._selector.register(cancellation, selectors.EVENT_READ, (cancellation, act))
        cancellation.armed = True
        try:
            yield
        finally:
            cancellation.armed = False
            with self._lock:
                self._selector.unregister(cancellation)

    def close(self) -> None:
        """End the thread."""
        os.write(self._writer, b"!")
        if self._thread is not None:
            self._thread.join()
        self._selector.close()
        os.close(self._reader)
        os.close(self._writer)

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                cancellation, act = key.data
                with self._lock:
                    # It may have ended, and its descriptor been closed, since `select` returned.
                    mine = self._selector.get_map().get(key.fd)
                    if mine is None or mine.data is not key.data:
                        continue
                    times = cancellation.drain()
                for _ in range(times):
                    act()
