"""The jobs that run now, so that they can be stopped, and how long the parts of a job take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orchestrator.client.cancellation import Cancellation
from orchestrator.errors import Cancelled

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class InFlightJobs:
    """What may be asked to stop: the jobs that run now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self.stopped = False

    @contextmanager
    def cancellation(self) -> Iterator[Cancellation]:
        """Yield what stops one job; it is asked at once where everything was stopped before."""
        one = Cancellation()
        try:
            with self._lock:
                if self.stopped:
                    raise Cancelled("stopped before it began")
                self._running.add(one)
            yield one
        finally:
            with self._lock:
                self._running.discard(one)
            one.close()

    def stop(self) -> None:
        """Ask every job to stop; asked again, they end at once."""
        with self._lock:
            self.stopped = True
            for one in self._running:
                one.request()


def end_pool(pool: ThreadPoolExecutor, in_flight: InFlightJobs) -> None:
    """Wait for the threads of a pool; an interrupt meanwhile ends their jobs at once."""
    while True:
        with suppress(KeyboardInterrupt):
            pool.shutdown(wait=True, cancel_futures=True)
            return
        in_flight.stop()


class Timings:
    """Seconds by part of one piece of work, in the order in which the parts came."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, part: str, within: Mapping[str, float] | None = None) -> None:
        """End a part: what is left of the time since the last end, after the parts in `within`."""
        now = time.perf_counter()
        inner = within or {}
        self.parts[part] = max(0.0, now - self._last - sum(inner.values()))
        self.parts.update(inner)
        self._last = now
