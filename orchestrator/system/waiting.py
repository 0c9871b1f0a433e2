"""Waits for what others have: said after a second, and ended by the caller's deadline."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from typing import TYPE_CHECKING

from orchestrator.errors import Cancelled, TimedOut
from orchestrator.system.flock import nap, wait_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from orchestrator.system.flock import Held
    from orchestrator.system.reporter import Reporter

SAID_AFTER = 1.0
"""Seconds of a wait that are worth a line."""


class Deadline:
    """How long a caller waits for its answer; its clock begins now.

    Args:
        seconds: How long; infinity for as long as it takes.
        fix: How the user allows more.

    Attributes:
        at: The time of `time.monotonic` at which it passes, if its clock runs on.
        stopped: Whether the caller was asked to stop, which ends its waits as well.
    """

    def __init__(self, seconds: float = math.inf, fix: str = "allow more with --timeout") -> None:
        self.seconds = seconds
        self.fix = fix
        self.at = time.monotonic() + seconds
        self.stopped: Callable[[], bool] = lambda: False
        self._paused_at: float | None = None

    def stopped_by(self, stopped: Callable[[], bool]) -> Deadline:
        """Return this deadline for a caller whom something else may stop as well."""
        one = copy.copy(self)
        one.stopped = stopped
        return one

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass in the body, except while a `Wait` in it pauses."""
        self._pause()
        try:
            yield
        finally:
            self._resume()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let time pass in the body, whether or not it is paused."""
        paused = self._resume()
        try:
            yield
        finally:
            if paused:
                self._pause()

    def sooner(self, other: Deadline) -> Deadline:
        """Return the one of the two that passes first."""
        return self if self.at <= other.at else other

    def _pause(self) -> None:
        self._paused_at = time.monotonic()

    def _resume(self) -> bool:
        paused, self._paused_at = self._paused_at, None
        if paused is not None:
            self.at += time.monotonic() - paused
        return paused is not None


ENDLESS = Deadline()
"""No limit."""


class Wait:
    """One wait; a context manager, in whose body `look` or `pause` is called again and again.

    Args:
        subject: The model that it is for.
        what: What is waited for, such as "another mm, which builds its environment"; it may change.
        reporter: Receives a line about it after a second.
        deadline: What ends it.
        stopped: Whether the caller was asked to stop.
    """

    def __init__(
        self,
        subject: str,
        what: str,
        reporter: Reporter,
        deadline: Deadline = ENDLESS,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.what = what
        self._subject = subject
        self._reporter = reporter
        self._deadline = deadline
        self._stopped = stopped
        self._began = 0.0  # when it was first looked at
        self._said = False

    def __enter__(self) -> Wait:  # noqa: PYI034 - Self is typing's from Python 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._said:
            self._reporter.finish(self._subject)

    def look(self) -> None:
        """Say what is waited for, if it is time, and see whether the wait is to end.

        Raises:
            TimedOut: When the deadline has passed.
            Cancelled: When the caller was asked to stop.
        """
        now = time.monotonic()
        if self._stopped() or self._deadline.stopped():
            raise Cancelled(f"{self._subject} was cancelled while it was waiting for {self.what}")
        if now >= self._deadline.at:
            raise too_late(self._subject, self.what, self._deadline)
        self._began = self._began or now
        if now >= self._began + SAID_AFTER:
            self._said = True
            self._reporter.progress(self._subject, f"waiting for {self.what}")

    def pause(self) -> None:
        """Look, and sleep for a moment.

        Raises:
            TimedOut, Cancelled: As `look`.
        """
        with self._deadline.running():
            self.look()
            nap()


def take_lock(path: Path, wait: Wait, *, shared: bool = False) -> Held:
    """Take the lock `path`, which others may hold meanwhile; `shared` as for `flock.wait_lock`.

    Raises:
        EnvironmentFailure: As `flock.try_lock`.
        TimedOut, Cancelled: As `Wait.look`.
    """
    with wait:
        return wait_lock(path, shared=shared, pause=wait.pause)


def too_late(subject: str, what: str, deadline: Deadline) -> TimedOut:
    """Return the error of a wait for `what` that a deadline has ended."""
    return TimedOut(
        f"{subject} did not begin within {deadline.seconds:g} seconds: it was waiting for {what}",
        fix=deadline.fix,
    )
