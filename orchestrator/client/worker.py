"""One live worker as its client sees it: load, run, stop, and how every ending is told apart."""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.client import ending
from orchestrator.client.connection import (
    CancelRequested,
    Connection,
    ConnectionLost,
    DeadlinePassed,
    RemoteError,
)
from orchestrator.client.supervisors import LET_GO, Own
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MMError,
    OutputError,
    Rejected,
    TimedOut,
    UsageError,
)
from orchestrator.jobs.job import GRACE, Event
from orchestrator.waiting import ENDLESS, Deadline, too_late
from orchestrator.worker.frames import (
    CANCELLED,
    MISMATCH,
    NOT_LOADED,
    REJECTED,
    Message,
    ProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.client.supervisors import Supervisor

LOOK = 0.5
"""Seconds between two looks at what a worker does that says nothing."""


class NotBegun(Exception):
    """The worker ended, or lost its model, before this job's turn came; another may run it."""


class Call(msgspec.Struct):
    """One request to a worker, with what bounds it.

    Attributes:
        params: The JSON part.
        seconds: How long it may take, from its turn on.
        parts: The buffers that it refers to.
        directory: The job's directory; empty for a load.
        deadline: What ends it, its wait for its turn included.
        sent: When it was sent (`time.monotonic`, as below).
        until: The time of the next step when it has not ended by itself.
        waits: Whether other requests are before it; its own time does not run then.
        begun: Whether something was heard of it that shows that its turn has come.
        final: The error that it will end as; None while all is well.
        forced: When it had to end because it did not stop, in words; empty where it need not.
    """

    params: dict[str, Any]
    seconds: float
    parts: list[memoryview] = []
    directory: str = ""
    deadline: Deadline = ENDLESS
    sent: float = 0.0
    until: float = math.inf
    waits: bool = False
    begun: bool = False
    final: MMError | None = None
    forced: str = ""

    def start(self) -> None:
        """Start its clock; it is sent next."""
        self.sent = now = time.monotonic()
        self.until = min(now + self.seconds, self.deadline.at)

    def hear(self, event: Event) -> None:
        """Stop or start its clock."""
        if self.final is not None:
            return
        if event.kind == "waiting":
            self.waits, self.begun, self.until = True, False, self.deadline.at
            return
        if self.waits:
            self.until = min(time.monotonic() + self.seconds, self.deadline.at)
        self.waits, self.begun = False, True

    def strike(
        self, reason: DeadlinePassed | CancelRequested, what: str, model: str, grace: float
    ) -> bool:
        """Take note of a deadline or of requests to stop; return whether patience has ended.

        Args:
            reason: What has come.
            what: "load" or "run".
            model: The model.
            grace: Seconds that it may then take to end by itself.
        """
        requests = reason.times if isinstance(reason, CancelRequested) else 0
        ends = requests > 1 or self.final is not None or self.waits or grace == 0
        if self.final is None:
            self.final = self._end_as(requests, what, model)
            self.until = time.monotonic() + grace
        if ends and grace:
            self.forced = "at once" if requests else f"after {grace:g} seconds"
        return ends

    def _end_as(self, requests: int, what: str, model: str) -> MMError:
        if requests:
            return Cancelled(f"{model} was cancelled")
        if self.waits:
            return too_late(model, "its turn", self.deadline)
        whole = self.deadline.at <= time.monotonic()
        seconds = self.deadline.seconds if whole else self.seconds
        allow = "timeouts.load in its manifest" if what == "load" else "--timeout"
        return TimedOut(
            f"{model} took longer than {seconds:g} seconds to {what}",
            fix=self.deadline.fix if whole else f"allow more with {allow}",
        )


class Worker:
    """A connection to a worker and what holds its process.

    Attributes:
        record: Its record.
        pid: Its process id, as it says in `hello`; 0 before.
        alive: Whether it may be used; false once it was stopped, has crashed or was left.
        threads: How many threads its jobs may use, as far as it knows; for whoever shares it with
            nobody.
    """

    connection: Connection

    def __init__(
        self, record: WorkerRecord, runtime: RuntimeDirectory, supervisor: Supervisor
    ) -> None:
        self.record = record
        self.pid = 0
        self.alive = True
        self.threads: int | None = None
        self._ended = False
        self._runtime = runtime
        self._supervisor = supervisor
        # One that nobody else may use has no line to wait in, whatever it says.
        self._shared = record.kept or not supervisor.own

    def load(
        self,
        call: Call,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Load the model: `begin_load` and `finish_load` at once."""
        self.begin_load(call)
        self.finish_load(call, cancellation, on_event)

    def begin_load(self, call: Call) -> None:
        """Send the request, so that every other request comes after it.

        Raises:
            Crashed: When the worker has ended.
            UsageError: When the inputs of the first job do not fit into a message.
        """
        call.start()
        try:
            self.connection.send("load", call.params)
        except ConnectionLost as error:
            raise self.crashed() from error
        except (ValueError, TypeError, RecursionError) as error:
            self.stop()
            raise UsageError(f"the inputs cannot be sent ({error})") from error

    def finish_load(
        self,
        call: Call,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        look: Callable[[], None] | None = None,
    ) -> None:
        """Wait for the model; on any failure the worker is stopped, for it is of no use.

        Args:
            call: What was sent.
            cancellation: What may ask it to stop.
            on_event: Called with what the model says meanwhile.
            look: Called again and again while it says nothing; what it raises ends the wait.

        Raises:
            JobFailed, TimedOut, Crashed, Cancelled: As the load ended.
        """
        try:
            self._await("load", call, cancellation, on_event, grace=0, look=look)
        except MMError:
            self.stop()
            raise

    def run(
        self,
        call: Call,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        grace: float = GRACE,
    ) -> Message:
        """Run one job and return its answer. The worker goes on after everything but a crash.

        What `on_event` raises cancels the job, and is raised once that has ended. A worker that
        others may use is ended for a job of ours alone that is at work and does not stop.

        Args:
            call: The request.
            cancellation: What may ask the job to stop.
            on_event: Called with what it says on the way.
            grace: Seconds that it may take to end by itself when it was asked to stop once.

        Raises:
            JobFailed, OutputError, Rejected, Cancelled, TimedOut, Crashed: As the job ended.
            UsageError: When the inputs do not fit into a message.
            NotBegun: When it never began; nothing was done.
        """
        call.start()
        try:
            self.connection.send("run", call.params, call.parts, call.directory)
        except ConnectionLost as error:
            # The worker reads nothing more, so that it cannot have begun.
            self.leave()
            raise NotBegun from error
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"the inputs cannot be sent ({error})") from error
        except BaseException:
            self._part()
            raise
        return self._await("run", call, cancellation, on_event, grace)

    def _await(
        self,
        method: str,
        call: Call,
        cancellation: Cancellation | None,
        on_event: Callable[[Event], None],
        grace: float,
        look: Callable[[], None] | None = None,
    ) -> Message:
        if cancellation is not None:
            cancellation.armed = True
        try:
            while True:
                said = self._next(method, call, cancellation, grace, look)
                if isinstance(said, Message):
                    return said
                try:
                    on_event(said)
                except BaseException:
                    self._abandon(call, cancellation, grace)
                    raise
        finally:
            if cancellation is not None:
                cancellation.armed = False

    def _next(
        self,
        method: str,
        call: Call,
        cancellation: Cancellation | None,
        grace: float,
        look: Callable[[], None] | None,
    ) -> Message | Event:
        """Return what the worker says next about a request whose end has not come."""
        try:
            while True:
                try:
                    said = self._receive(call, cancellation, look)
                except (DeadlinePassed, CancelRequested) as reason:
                    if call.strike(reason, method, self.record.model, grace):
                        break
                    self.connection.cancel()
                    continue
                if self._shared and isinstance(said, Event):
                    call.hear(said)
                return said
        except (RemoteError, ConnectionLost, ProtocolError) as error:
            raise self._failed(method, call, error) from error
        except BaseException:
            # An exception from outside, such as an interrupt, leaves an answer on its way that
            # nobody would match with its question.
            self._part()
            raise
        raise self._give_up(call)

    def _give_up(self, call: Call) -> MMError:
        """End the worker, unless it is at the request of another; return how the request ends."""
        assert call.final is not None
        stopped = self._part(call)
        if stopped and call.forced and isinstance(call.final, Cancelled):
            how = f"was cancelled, and its worker was ended {call.forced}"
            return Cancelled(f"{self.record.model} {how}")
        return call.final

    def _abandon(self, call: Call, cancellation: Cancellation | None, grace: float) -> None:
        """Cancel a request whose caller has failed, and wait for its end; another may follow.

        A worker that has not ended it after `grace` seconds is stopped, or left if it is shared.
        """
        ended = False
        until = time.monotonic() + grace
        try:
            with contextlib.suppress(
                ConnectionLost, ProtocolError, DeadlinePassed, CancelRequested
            ):
                self.connection.cancel()
                while not ended and time.monotonic() < until:
                    said = self.connection.next(until, cancellation, call.directory)
                    ended = isinstance(said, Message)
        except RemoteError:
            ended = True
        finally:
            if not ended and self._shared and grace:
                self.leave()  # others may be served by it yet
            elif not ended:
                self.stop()

    def _receive(
        self, call: Call, cancellation: Cancellation | None, look: Callable[[], None] | None
    ) -> Message | Event:
        """Return what the worker says next, or what its state says while it cannot speak."""
        if look is None and not self._shared:
            return self.connection.next(call.until, cancellation, call.directory)
        while True:
            until = min(call.until, time.monotonic() + LOOK)
            try:
                return self.connection.next(until, cancellation, call.directory)
            except DeadlinePassed:
                if until == call.until:
                    raise
            if look is not None:
                look()
            elif (event := self._turn(call)) is not None:
                return event

    def _turn(self, call: Call) -> Event | None:
        """Return the event that others are before a request, or that its turn has come.

        A model that holds the interpreter's lock keeps its worker from saying either.
        """
        at_ours = None if call.begun or call.final is not None else self._is_at(call)
        if at_ours is None or at_ours is not call.waits:
            return None
        return Event("started", {}, []) if at_ours else Event("waiting", {"place": 1}, [])

    def _is_at(self, call: Call) -> bool | None:
        """Return whether the worker is at this very request; None when it is at none."""
        state = self._runtime.state(self.record.id)
        if not state.working:
            return None
        return state.since >= call.sent and state.client in (0, os.getpid())

    def _part(self, call: Call | None = None) -> bool:
        """End a worker of our own; one that others may use only where it is at our request.

        Returns:
            Whether it was ended.
        """
        if self._supervisor.own or (call is not None and self._is_at(call)):
            self.stop()
            return True
        self.leave()  # which cancels what we have asked for
        return False

    def _failed(self, method: str, call: Call, error: Exception) -> Exception:
        if isinstance(error, RemoteError):
            if call.final is None and error.code == NOT_LOADED:
                self.leave()
                return NotBegun()
            return call.final or self._remote(method, error)
        if call.final is not None:
            self._part()
            return call.final
        if isinstance(error, ProtocolError):
            return self.crashed(f"broke the protocol ({error})")
        # Nothing but the request was on its way: a cancel would have set `call.final`.
        never_read = method == "run" and isinstance(error, ConnectionLost) and error.unread
        if call.waits or never_read:
            self.leave()
            return NotBegun()
        return self.crashed()

    def _remote(self, method: str, error: RemoteError) -> MMError:
        model, said = self.record.model, str(error)
        if error.code == REJECTED:
            return Rejected(said, where=model)
        if error.code == CANCELLED:
            return Cancelled(f"{model} was cancelled")
        if error.code == MISMATCH:
            return OutputError(said, where=model)
        doing = "loading" if method == "load" else "running"
        return JobFailed(
            f"{model} failed while {doing}: {said}",
            fix="run again with --debug for the traceback",
            detail=error.traceback,
        )

    def crashed(self, why: str = "") -> MMError:
        """Stop what is left of the worker and return the error that tells how it died.

        One that lives, and that others may use, is left alone: it is our connection that ended.

        Args:
            why: What it did wrong, where that is known already.

        Returns:
            Crashed; Cancelled or TimedOut where its supervisor ended it for that reason.
        """
        model = self.record.model
        # Asked before `stop`, which would end a worker that only broke the protocol.
        if not self._supervisor.wait(0 if why else LET_GO) and not self._supervisor.own:
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
        words = ending.last_words(self.record.log)
        self.stop()
        return Crashed(
            f"the worker of {model} {why}",
            fix=f"its log is {self.record.log}",
            detail=words or ending.last_words(self.record.log),
        )

    def keep(self) -> None:
        """Let a worker that we started outlive us; its own idle time ends it."""
        if isinstance(self._supervisor, Own):
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
        """End the process from another thread; whoever waits for its job is told."""
        self._supervisor.end()

    def stop(self) -> None:
        """End the worker and its children, and forget its files. May be called more than once."""
        self.leave()
        if self._ended:
            return
        self._ended = True
        self._supervisor.end()
        # Other clients of a kept worker may still ask how it ended.
        self._runtime.forget(self.record.id, ending=not self.record.kept)
