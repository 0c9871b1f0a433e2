"""One live worker as its client sees it: load, run, stop, and how every ending is told apart."""

from __future__ import annotations

import contextlib
import math
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


class NotBegun(Exception):
    """The worker ended, or lost its model, before this job's turn came; another may run it."""


class Call(msgspec.Struct):
    """One request to a worker, with what bounds it.

    Attributes:
        params: The JSON part.
        seconds: How long it may take, from its turn on.
        parts: The buffers that it refers to.
        directory: The job's directory; empty for a load.
        until: The `time.monotonic` time of the next step when it has not ended by itself.
        waits: Whether other requests are before it; its time does not run then.
        final: The error that it will end as; None while all is well.
    """

    params: dict[str, Any]
    seconds: float
    parts: list[memoryview] = []
    directory: str = ""
    until: float = math.inf
    waits: bool = False
    final: MMError | None = None

    def hear(self, event: Event) -> None:
        """Stop or start its clock."""
        if event.kind in ("waiting", "started") and self.final is None:
            self.waits = event.kind == "waiting"
            self.until = math.inf if self.waits else time.monotonic() + self.seconds

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
        ends = requests > 1 or self.final is not None or (grace == 0 and not self.waits)
        if self.final is None:
            self.final = self._end_as(requests, what, model)
            self.until = time.monotonic() + grace
        if ends and grace and not self.waits and isinstance(self.final, Cancelled):
            how = "at once" if requests else f"after {grace:g} seconds"
            self.final = Cancelled(f"{model} was cancelled, and its worker was ended {how}")
        return ends

    def _end_as(self, requests: int, what: str, model: str) -> MMError:
        if requests:
            return Cancelled(f"{model} was cancelled")
        allow = "timeouts.load in its manifest" if what == "load" else "--timeout"
        return TimedOut(
            f"{model} took longer than {self.seconds:g} seconds to {what}",
            fix=f"allow more with {allow}",
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
        self._shared = record.kept or not isinstance(supervisor, Own)

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
    ) -> None:
        """Wait for the model; on any failure the worker is stopped, for it is of no use.

        Raises:
            JobFailed, TimedOut, Crashed, Cancelled: As the load ended.
        """
        try:
            self._await("load", call, cancellation, on_event, grace=0)
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

        What `on_event` raises cancels the job, and is raised once that has ended.

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
        try:
            self.connection.send("run", call.params, call.parts, call.directory)
        except ConnectionLost as error:
            # The worker reads nothing more, so that it cannot have begun.
            self.leave()
            raise NotBegun from error
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"the inputs cannot be sent ({error})") from error
        except BaseException:
            self.stop()
            raise
        return self._await("run", call, cancellation, on_event, grace)

    def _await(
        self,
        method: str,
        call: Call,
        cancellation: Cancellation | None,
        on_event: Callable[[Event], None],
        grace: float,
    ) -> Message:
        call.until = time.monotonic() + call.seconds
        if cancellation is not None:
            cancellation.armed = True
        try:
            while True:
                said = self._next(method, call, cancellation, grace)
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
        self, method: str, call: Call, cancellation: Cancellation | None, grace: float
    ) -> Message | Event:
        """Return what the worker says next about a request whose end has not come."""
        try:
            while True:
                try:
                    said = self.connection.next(call.until, cancellation, call.directory)
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
            self.stop()
            raise
        raise self._give_up(call)

    def _give_up(self, call: Call) -> MMError:
        """End the worker; where the job only waits, leave it to the client whose job runs there."""
        assert call.final is not None
        if call.waits:
            self.leave()
        else:
            self.stop()
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

    def _failed(self, method: str, call: Call, error: Exception) -> Exception:
        if isinstance(error, RemoteError):
            if call.final is None and error.code == NOT_LOADED:
                self.leave()
                return NotBegun()
            return call.final or self._remote(method, error)
        if call.final is not None:
            self.stop()
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

        Args:
            why: What it did wrong, where that is known already.

        Returns:
            Crashed; Cancelled or TimedOut where its supervisor ended it for that reason.
        """
        model = self.record.model
        # Asked before `stop`, which would end a worker that only broke the protocol.
        if not why:
            self._supervisor.wait(LET_GO)
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
