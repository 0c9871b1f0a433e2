"""What the calling thread does for a session: it is asked before the thread waits for another job.

A signal handler, an `on_event` and a callback run in the middle of whatever their thread does. If
that is a job, another one would wait for the worker, or the place in the queue, that the first one
gives back only after them.
"""

from __future__ import annotations

import threading

from orchestrator.errors import UsageError


class CallingThread(threading.local):
    """Marks a thread; a context manager around a job that the thread runs.

    Attributes:
        in_job: Whether the thread is in the middle of a job.
        in_lane: Whether the thread runs the jobs of a queue, and is in the middle of one or of the
            callbacks after it.
    """

    in_job = False
    in_lane = False

    def __enter__(self) -> None:
        if self.in_job:
            raise _refusal("run another one")
        self.in_job = True

    def __exit__(self, *_: object) -> None:
        self.in_job = False

    @property
    def may_wait(self) -> bool:
        """Whether no job has to wait for this thread."""
        return not (self.in_job or self.in_lane)

    def check_may_wait(self) -> None:
        """Check that no job has to wait for this thread.

        Raises:
            UsageError: When the thread is in the middle of a job.
        """
        if not self.may_wait:
            raise _refusal("wait for others")


def _refusal(what: str) -> UsageError:
    return UsageError(
        f"a thread cannot {what} in the middle of a job (in a signal handler, `on_event` or "
        "the callback of a future)",
        fix="do it in another thread, or submit the job and wait for it later",
    )
