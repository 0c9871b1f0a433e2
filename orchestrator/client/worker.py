"""One live worker as its client sees it: load, run, stop, and which error each ending is."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from orchestrator.client import ending
from orchestrator.client.connection import (
    CancelRequested,
    Connection,
    ConnectionLost,
    DeadlinePassed,
    RemoteError,
)
from orchestrator.client.requests import PendingRequest
from orchestrator.client.supervisors import STOP_SECONDS, OwnedProcess, is_alive
from orchestrator.core.refusals import REFUSALS, refusal
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MachineRefused,
    MMError,
    OutputError,
    Rejected,
    TimedOut,
    UsageError,
)
from orchestrator.jobs.job import GRACE, Event, ignore_event
from orchestrator.worker.frames import (
    CANCELLED,
    MISMATCH,
    NOT_LOADED,
    REFUSED,
    REJECTED,
    Message,
    ProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.client.requests import WorkerRequest
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.client.supervisors import SupervisorProcess
    from orchestrator.jobs.cancellation import Cancellation

LOOK = 0.5
"""Seconds between two looks at the state of a worker that sends nothing."""


class NotBegun(Exception):
    """The worker ended, or lost its model, before this job's turn came; another may run it."""


class Worker:
    """A connection to a worker and what holds its process.

    Attributes:
        record: Its record.
        pid: Its process id, from the answer to `hello`; 0 before.
        alive: Whether it may be used; false once it was stopped, has crashed or was left.
        threads: How many threads its last job was given; known only where no one else uses it.
    """

    connection: Connection

    def __init__(
        self, record: WorkerRecord, runtime: RuntimeDirectory, supervisor: SupervisorProcess
    ) -> None:
        self.record = record
        self.pid = 0
        self.alive = True
        self.threads: int | None = None
        self._ended = False
        self._runtime = runtime
        self._supervisor = supervisor
        # Requests to one that no one else may use never wait their turn, whatever it sends.
        self._shared = record.kept or not supervisor.own

    @property
    def computing(self) -> bool:
        """Whether it lives and is at a request, and may be unable to take a connection."""
        working = self._runtime.status(self.record.id).working
        return working and is_alive(self.record.supervisor, self.record.started)

    def load(
        self,
        request: WorkerRequest,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = ignore_event,
        check: Callable[[], None] | None = None,
    ) -> Message:
        """Load the model and return the answer; on any failure the worker is stopped.

        Args:
            request: The request.
            cancellation: What may ask it to stop.
            on_event: Called with what the model reports meanwhile.
            check: Called again and again while it reports nothing; what it raises ends the wait.

        Raises:
            JobFailed, TimedOut, Crashed, Cancelled: As the load ended.
            UsageError: When the inputs of the first job do not fit into a message.
        """
        pending = PendingRequest("load", request, self.record.model, cancellation, 0, check)
        try:
            self.connection.send("load", request.params)
        except ConnectionLost as error:
            raise self.crashed() from error
        except (ValueError, TypeError, RecursionError) as error:
            self.stop()
            raise _not_sent(error) from error
        try:
            return self._await(pending, on_event)
        except MMError:
            self.stop()
            raise

    def run(
        self,
        request: WorkerRequest,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = ignore_event,
        grace: float = GRACE,
    ) -> Message:
        """Run one job and return its answer. The worker goes on after everything but a crash.

        What `on_event` raises cancels the job, and is raised once that has ended. A worker that
        others may use is ended only while it runs this very job and does not stop.

        Args:
            request: The request.
            cancellation: What may ask the job to stop.
            on_event: Called with what it reports before its answer.
            grace: Seconds that it may take to end by itself when it was asked to stop once.

        Raises:
            JobFailed, OutputError, Rejected, Cancelled, TimedOut, Crashed: As the job ended.
            UsageError: When the inputs do not fit into a message.
            NotBegun: When it never began; nothing was done.
        """
        pending = PendingRequest("run", request, self.record.model, cancellation, grace)
        try:
            self.connection.send("run", request.params, request.parts, request.directory)
        except ConnectionLost as error:
            # The worker reads nothing more, so that it cannot have begun.
            self.leave()
            raise NotBegun from error
        except (ValueError, TypeError, RecursionError) as error:
            raise _not_sent(error) from error
        except BaseException:
            self._part()
            raise
        return self._await(pending, on_event)

    def _await(self, pending: PendingRequest, on_event: Callable[[Event], None]) -> Message:
        """Return the answer to a request, and pass on the events before it."""
        cancellation = pending.cancellation
        if cancellation is not None:
            cancellation.armed = True
        try:
            while True:
                received = self._next(pending)
                if isinstance(received, Message):
                    return received
                try:
                    on_event(received)
                except BaseException:
                    self._abandon(pending)
                    raise
        finally:
            if cancellation is not None:
                cancellation.armed = False

    def _next(self, pending: PendingRequest) -> Message | Event:
        """Return the next event of a request, or its answer."""
        try:
            while True:
                try:
                    received = self._receive(pending)
                except (DeadlinePassed, CancelRequested) as interrupt:
                    if pending.on_interrupt(interrupt):
                        break
                    self.connection.cancel()
                    continue
                if self._shared and isinstance(received, Event):
                    pending.on_event(received)
                return received
        except (RemoteError, ConnectionLost, ProtocolError) as error:
            raise self._failed(pending, error) from error
        except BaseException:
            # An exception from outside, such as an interrupt, leaves an answer on its way that
            # would be taken for the answer to the next request.
            self._part()
            raise
        raise self._give_up(pending)

    def _give_up(self, pending: PendingRequest) -> MMError:
        """End the worker, unless it is at the request of another; return how the request ends."""
        assert pending.error is not None
        stopped = self._part(pending)
        if stopped and pending.forced and isinstance(pending.error, Cancelled):
            how = f"was cancelled, and its worker was ended {pending.forced}"
            return Cancelled(f"{self.record.model} {how}")
        return pending.error

    def _abandon(self, pending: PendingRequest) -> None:
        """Cancel a request whose caller has failed, and wait for its end; another may follow.

        A worker that has not ended it within the grace is stopped, or left if it is shared.
        """
        ended = False
        until = time.monotonic() + pending.grace
        directory = pending.request.directory
        try:
            with contextlib.suppress(
                ConnectionLost, ProtocolError, DeadlinePassed, CancelRequested
            ):
                self.connection.cancel()
                while not ended and time.monotonic() < until:
                    received = self.connection.next(until, pending.cancellation, directory)
                    ended = isinstance(received, Message)
        except RemoteError:
            ended = True
        finally:
            if not ended and self._shared and pending.grace:
                self.leave()  # it may still serve others
            elif not ended:
                self.stop()

    def _receive(self, pending: PendingRequest) -> Message | Event:
        """Return the worker's next message, or what its state shows while it cannot send one."""
        cancellation, directory = pending.cancellation, pending.request.directory
        if pending.check is None and not self._shared:
            return self.connection.next(pending.expires_at, cancellation, directory)
        while True:
            until = min(pending.expires_at, time.monotonic() + LOOK)
            try:
                return self.connection.next(until, cancellation, directory)
            except DeadlinePassed:
                if until == pending.expires_at:
                    raise
            if pending.check is not None:
                pending.check()
            elif (event := self._queue_event(pending)) is not None:
                return event

    def _queue_event(self, pending: PendingRequest) -> Event | None:
        """Return the event that others are before a request, or that its turn has come.

        A model that holds the interpreter's lock keeps its worker from sending either.
        """
        if pending.started or pending.error is not None:
            return None
        ours = self._is_at_ours()
        if ours is None or ours is not pending.queued:
            return None
        return Event("started", {}, []) if ours else Event("waiting", {"place": 1}, [])

    def _is_at_ours(self) -> bool | None:
        """Return whether the worker is at our last request; None when it is at none."""
        status = self._runtime.status(self.record.id)
        if not status.working:
            return None
        return status.request == self.connection.last

    def _part(self, pending: PendingRequest | None = None) -> bool:
        """End a worker of our own; one that others may use only where it is at our request.

        Returns:
            Whether it was ended.
        """
        if self._supervisor.own or (pending is not None and self._is_at_ours()):
            self.stop()
            return True
        self.leave()  # which cancels our requests
        return False

    def _failed(self, pending: PendingRequest, error: Exception) -> Exception:
        if isinstance(error, RemoteError):
            if pending.error is None and error.code == NOT_LOADED:
                self.leave()
                return NotBegun()
            return pending.error or self._remote(pending.method, error)
        if pending.error is not None:
            self._part()
            return pending.error
        if isinstance(error, ProtocolError):
            return self.crashed(f"broke the protocol ({error})")
        # Nothing but the request was on its way: a cancel would have set `pending.error`.
        unread = isinstance(error, ConnectionLost) and error.unread
        never_read = pending.method == "run" and (unread or self._ended_at_another())
        if pending.queued or never_read:
            self.leave()
            return NotBegun()
        return self.crashed()

    def _ended_at_another(self) -> bool:
        """Return whether the worker was at the request of another client when it ended.

        Not every system says of a connection whether its peer had read what was sent (macOS).
        """
        if not self._shared or not self._supervisor.wait(STOP_SECONDS):
            return False
        return ending.last_request(self._runtime, self.record) not in (0, self.connection.last)

    def _remote(self, method: str, error: RemoteError) -> MMError:
        model, text = self.record.model, str(error)
        if error.code == REJECTED:
            return Rejected(text, where=model)
        if error.code == CANCELLED:
            return Cancelled(f"{model} was cancelled")
        if error.code == MISMATCH:
            return OutputError(text, where=model)
        doing = "loading" if method == "load" else "running"
        refused = REFUSALS.get(error.errno) if error.code == REFUSED else None
        if refused is not None:
            return MachineRefused(
                f"{model} could not go on {doing}: {refused.what} ({text})",
                fix=refused.fix,
            )
        return JobFailed(
            f"{model} failed while {doing}: {text}",
            fix="run again with --debug for the traceback",
            fix_in_code="",
            detail=error.traceback,
        )

    def crashed(self, why: str = "") -> MMError:
        """Stop what is left of the worker and return the error that says how it died.

        One that lives, and that others may use, is left alone: only our connection ended.

        Args:
            why: What it did wrong, where that is known already.

        Returns:
            Crashed; Cancelled or TimedOut where its supervisor ended it for that reason.
        """
        model = self.record.model
        # Asked before `stop`, which would end a worker that only broke the protocol.
        if not self._supervisor.wait(0 if why else STOP_SECONDS) and not self._supervisor.own:
            self.leave()
            return Crashed(
                f"the worker of {model} {why or 'dropped the connection'}",
                fix=f"run it again, or first: mm stop {model}",
            )
        if not why:
            end = ending.read_ending(self._runtime, self.record, self.pid)
            if end.why == ending.DEADLINE:
                self.stop()
                return TimedOut(f"{model} passed its deadline and its worker was ended")
            if end.why:
                self.stop()
                return Cancelled(f"{model} was cancelled: its worker was stopped")
            why = end.how
        tail = ending.log_tail(self.record.log)
        self.stop()
        return Crashed(
            f"the worker of {model} {why}",
            fix=f"its log is {self.record.log}",
            detail=tail or ending.log_tail(self.record.log),
        )

    def keep(self) -> None:
        """Let a worker that we started outlive us; its own idle time ends it."""
        if isinstance(self._supervisor, OwnedProcess):
            self._supervisor.keep()
            self._supervisor = self.record.foreign()

    def leave(self) -> None:
        """Close the connection and let the worker live. May be called more than once."""
        if self.alive:
            self.alive = False
            with contextlib.suppress(AttributeError):  # it was never connected
                self.connection.close()

    def ended(self) -> bool:
        """Return whether the process that holds the worker is gone."""
        return self._supervisor.wait(0)

    def interrupt(self) -> None:
        """End the process from another thread; a job that it runs ends with an error."""
        self._supervisor.end()

    def stop(self) -> None:
        """End the worker and its children, and forget its files. May be called more than once."""
        self.leave()
        if self._ended:
            return
        self._supervisor.end()
        # Other clients of a kept worker may still ask how it ended.
        self._runtime.forget(self.record.id, ending=not self.record.kept)
        self._ended = True  # not before: an interrupt may break it off


def _not_sent(error: Exception) -> MMError:
    """Return why a request could not be sent: its inputs, or a lack of room for them."""
    cause = error.__cause__
    known = refusal(cause) if cause is not None else None
    return known or UsageError(f"the inputs cannot be sent ({error})")
