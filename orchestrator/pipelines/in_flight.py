"""Jobs that run now in threads, so that all of them can be stopped and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from orchestrator.errors import Cancelled
from orchestrator.jobs.cancellation import Cancellation


class InFlightJobs:
    """Runs work in named pools of threads, and stops the jobs in them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._work = 0  # submitted, and neither done nor dropped
        self._changed = threading.Condition()
        self.stopped = False

    def submit(self, pool: str, threads: int, work: Callable[[], None]) -> None:
        """Run `work` in a thread of a pool, which is made with so many threads at its first use."""
        if pool not in self._pools:
            self._pools[pool] = ThreadPoolExecutor(threads, f"mm-{pool}")
        self._count(1)
        self._pools[pool].submit(work).add_done_callback(lambda _: self._count(-1))

    def _count(self, change: int) -> None:
        with self._changed:
            self._work += change
            self._changed.notify_all()

    @contextmanager
    def cancellation(self) -> Iterator[Cancellation]:
        """Yield what stops one job.

        Raises:
            Cancelled: When everything was stopped before.
        """
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
        with self._changed:
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, unless everything is stopped meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped, seconds)

    def close(self) -> None:
        """Ask every job to stop and wait for their ends; an interrupt ends the jobs at once."""
        while True:
            with suppress(KeyboardInterrupt):
                self.stop()
                for pool in self._pools.values():
                    pool.shutdown(wait=False, cancel_futures=True)
                # Not by joining the threads: before Python 3.13 a thread whose join is interrupted
                # counts as ended (bpo-45274).
                with self._changed:
                    self._changed.wait_for(lambda: not self._work)
                return


def thread_number() -> int:
    """Return which of its pool's threads this one is, counted from 0."""
    number = threading.current_thread().name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
