"""Requests to a worker, and the clock that bounds one which was sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.client.connection import CancelRequested, DeadlinePassed
from orchestrator.errors import Cancelled, MMError, TimedOut
from orchestrator.system.waiting import ENDLESS, Deadline, too_late

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.jobs.job import Event


class WorkerRequest(msgspec.Struct, frozen=True):
    """A `load` or a `run`, as it is sent.

    Attributes:
        params: The JSON part.
        seconds: How long it may take, from its turn on.
        parts: The buffers that `params` refers to.
        directory: The job's directory; empty for a load.
        deadline: What ends it, its wait for its turn included.
    """

    params: dict[str, Any]
    seconds: float
    parts: list[memoryview] = []
    directory: str = ""
    deadline: Deadline = ENDLESS


class PendingRequest(msgspec.Struct):
    """A request that is sent now, and what bounds it until its answer comes.

    Attributes:
        method: "load" or "run".
        request: What is sent.
        model: The model's name, for errors.
        cancellation: What may ask the worker to stop.
        grace: Seconds that the request may take to end by itself once it was asked to stop.
        check: Called again and again while the worker is silent; what it raises ends the wait.
        expires_at: When the next step is due if no answer has come (`time.monotonic`).
        queued: Whether other requests are before it; its own time does not run then.
        started: Whether an event shows that its turn has come.
        error: The error that it will end as; None while all is well.
        forced: When its worker was ended because it did not stop, in words; empty if it was not.
    """

    method: str
    request: WorkerRequest
    model: str
    cancellation: Cancellation | None
    grace: float
    check: Callable[[], None] | None = None
    expires_at: float = 0.0
    queued: bool = False
    started: bool = False
    error: MMError | None = None
    forced: str = ""

    def __post_init__(self) -> None:
        """Start the clock."""
        self.expires_at = min(time.monotonic() + self.request.seconds, self.request.deadline.at)

    def on_event(self, event: Event) -> None:
        """Stop the clock while other requests are served, and restart it at this one's turn."""
        if self.error is not None:
            return
        if event.kind == "waiting":
            self.queued, self.started = True, False
            self.expires_at = self.request.deadline.at
            return
        if self.queued:
            seconds, deadline = self.request.seconds, self.request.deadline
            self.expires_at = min(time.monotonic() + seconds, deadline.at)
        self.queued, self.started = False, True

    def on_interrupt(self, interrupt: DeadlinePassed | CancelRequested) -> bool:
        """Record that a deadline passed or a stop was requested.

        Returns:
            Whether to end the worker now, instead of asking it to stop.
        """
        times = interrupt.times if isinstance(interrupt, CancelRequested) else 0
        now = times > 1 or self.error is not None or self.queued or self.grace == 0
        if self.error is None:
            self.error = Cancelled(f"{self.model} was cancelled") if times else self._timed_out()
            self.expires_at = time.monotonic() + self.grace
        if now and self.grace:
            self.forced = "at once" if times else f"after {self.grace:g} seconds"
        return now

    def _timed_out(self) -> MMError:
        deadline = self.request.deadline
        if self.queued:
            return too_late(self.model, "its turn", deadline)
        whole = deadline.at <= time.monotonic()
        seconds = deadline.seconds if whole else self.request.seconds
        load = self.method == "load"
        option, argument = (
            ("timeouts.load in its manifest",) * 2 if load else ("--timeout", "timeout")
        )
        return TimedOut(
            f"{self.model} took longer than {seconds:g} seconds to {self.method}",
            fix=deadline.fix if whole else f"allow more with {option}",
            fix_in_code=None if whole else f"allow more with {argument}",
        )
