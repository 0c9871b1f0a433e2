"""Starts of workers that failed: each kind is tried again after a growing while, not by each job.

A kind is what its workers are started from, by digest: an edited runner or manifest is another one.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from typing import TYPE_CHECKING

from orchestrator.errors import Crashed, JobFailed, MemoryRefused, TimedOut
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.system.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.engines.interface import PreparedModel
    from orchestrator.errors import MMError
    from orchestrator.jobs.job import Job
    from orchestrator.system.reporter import Reporter

FAILED_LOADS = (JobFailed, Crashed, TimedOut)
"""How a load fails that would fail for every job; the others are the job's own."""

FAILED_STARTS = (MemoryRefused, *FAILED_LOADS)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the second try; each failure in a row doubles them, up to the longest."""


class _Failure:
    """The last failed start of one kind."""

    def __init__(self, error: MMError, pause: float, again_at: float) -> None:
        self.error = error
        self.pause = pause
        self.again_at = again_at
        self.at = time.strftime("%H:%M:%S")


class StartFailures:
    """Remembers which workers could not be started, for as long as the engine lives.

    Args:
        reporter: Receives a note when fewer workers run than were asked for.
        clock: The time in seconds; a port for tests.
    """

    def __init__(self, reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, _Failure] = {}
        self._noted: set[str] = set()

    def pausing(self, key: str) -> bool:
        """Return whether it is too early for another try."""
        failure = self._failures.get(key)
        return failure is not None and self._clock() < failure.again_at

    def repeated(self, key: str) -> MMError | None:
        """Return the error of a failed load, with its time and that of the next try.

        None once it is time for that, and where memory was short: that is looked at for each job.
        """
        failure = self._failures.get(key)
        if failure is None or isinstance(failure.error, MemoryRefused) or not self.pausing(key):
            return None
        error = copy.copy(failure.error)
        error.retry_after = left = max(1, round(failure.again_at - self._clock()))
        error.what += f" (failed at {failure.at}; tried again in {left} s)"
        return error

    @contextlib.contextmanager
    def watching(self, job: Job, model: PreparedModel) -> Iterator[None]:
        """Keep the failure of the start in the body.

        A job that may be run again waits until it is time for the next try.

        Raises:
            JobFailed, Crashed, TimedOut: Instead of the body, while it is too early for it.
            Cancelled: During that wait.
        """
        key = model.worker.digest
        if job.retries:
            stopped = asked_to_stop(job.cancellation)
            what = "the next try to load it"
            with Wait(model.name, what, self._reporter, job.deadline, stopped) as wait:
                while self.repeated(key):
                    wait.pause()
        if error := self.repeated(key):
            raise error
        before = self._failures.get(key)
        try:
            yield
        except FAILED_STARTS as error:
            # Starts that fail side by side are one failure. Where the job's own time was too short,
            # nothing is known of the model.
            own_time = isinstance(error, TimedOut) and time.monotonic() >= job.deadline.at
            if self._failures.get(key) is before and not own_time:
                self.keep(key, error)
            raise

    def forget(self, key: str) -> None:
        """Forget an earlier failure, because a worker was started."""
        self._failures.pop(key, None)

    def keep(self, key: str, error: MMError) -> None:
        """Keep the failure of a start: the next try is due after twice as long as the last."""
        with self._lock:
            before = self._failures.get(key)
            pause = min(2 * before.pause, LONGEST_PAUSE) if before else FIRST_PAUSE
            self._failures[key] = _Failure(error, pause, self._clock() + pause)
        error.retry_after = pause

    def note_fewer(self, key: str, model: PreparedModel, count: int, most: int) -> None:
        """Note, once for each kind, how many workers do the work instead of how many."""
        with self._lock:
            known = key in self._noted
            self._noted.add(key)
        if not known:
            failure = self._failures.get(key)
            refused = failure is None or isinstance(failure.error, MemoryRefused)
            why = "memory" if refused or failure is None else failure.error.what
            self._reporter.note(f"{model.name}: {count} of {most} workers: {why}")
