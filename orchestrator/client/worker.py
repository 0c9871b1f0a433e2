"""One live worker as its client sees it: load, run, stop, and how every ending is told apart."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.client.connection import (
    CancelRequested,
    Connection,
    ConnectionLost,
    DeadlinePassed,
    Event,
    RemoteError,
)
from orchestrator.errors import (
    Cancelled,
    Crashed,
    JobFailed,
    MMError,
    OutputError,
    Rejected,
    TimedOut,
)
from orchestrator.home import read_json
from orchestrator.processes import Process, finish, wait
from orchestrator.worker.frames import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.client.cancellation import Cancellation
    from orchestrator.client.runtime import RuntimeDirectory, WorkerRecord
    from orchestrator.worker.channel import Message

GRACE = 5.0
"""Seconds in which a runner that was asked to stop may do so by itself."""

LET_GO = 3.0
"""Seconds in which the supervisor ends the worker; it needs half a second of its own."""

LOG_LINES = 20
LOG_COLUMNS = 500
"""Lines of the log's end that go with a crash, and characters of each."""

FAILED, REJECTED, CANCELLED, MISMATCH = 1, 2, 3, 4
"""The worker's error codes; the same as in `orchestrator.worker.serve`."""


@dataclass(frozen=True)
class Call:
    """One request to a worker, with what bounds it.

    Attributes:
        params: The JSON part.
        parts: The buffers that it refers to.
        directory: The job's directory; empty for a load.
        seconds: How long it may take.
    """

    params: dict[str, Any]
    seconds: float
    parts: list[memoryview] = field(default_factory=list)
    directory: str = ""


class Worker:
    """A worker process and its supervisor. `connection` is set once it has been connected.

    The supervisor, a child of ours, ends the worker when the lifeline is closed: by `stop`, or by
    the kernel when this process dies.
    """

    connection: Connection

    def __init__(
        self,
        record: WorkerRecord,
        runtime: RuntimeDirectory,
        supervisor: Process,
        lifeline: int,
    ) -> None:
        self.record = record
        self.alive = True
        self._runtime = runtime
        self._supervisor = supervisor
        self._lifeline = lifeline

    def load(
        self,
        call: Call,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Load the model; on any failure the worker is stopped, for it is of no use.

        Raises:
            JobFailed, TimedOut, Crashed, Cancelled: As the load ended.
        """
        try:
            self._request("load", call, cancellation, on_event, grace=0)
        except MMError:
            self.stop()
            raise

    def run(
        self,
        call: Call,
        cancellation: Cancellation | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> Message:
        """Run one job and return its answer. The worker goes on after everything but a crash.

        Raises:
            JobFailed, OutputError, Rejected, Cancelled, TimedOut, Crashed: As the job ended.
        """
        return self._request("run", call, cancellation, on_event, grace=GRACE)

    def _request(
        self,
        method: str,
        call: Call,
        cancellation: Cancellation | None,
        on_event: Callable[[Event], None],
        grace: float,
    ) -> Message:
        ending: MMError | None = None  # what is being done about a deadline or a request to stop
        until = time.monotonic() + call.seconds
        if cancellation is not None:
            cancellation.armed = True
        try:
            self.connection.send(method, call.params, call.parts, call.directory)
            while True:
                try:
                    return self.connection.wait(until, cancellation, on_event, call.directory)
                except (DeadlinePassed, CancelRequested) as reason:  # noqa: PERF203 - rare
                    if ending is not None or grace == 0:
                        self.stop()
                        raise (ending or self._ending(method, call, reason)) from None
                    ending = self._ending(method, call, reason)
                    self.connection.cancel()
                    until = time.monotonic() + grace
        except RemoteError as error:
            raise (ending or self._remote(method, error)) from error
        except (ConnectionLost, ProtocolError) as error:
            if ending is not None:
                self.stop()
                raise ending from error
            why = f"broke the protocol ({error})" if isinstance(error, ProtocolError) else ""
            raise self.crashed(why) from error
        except BaseException:
            # An exception from outside, such as an interrupt, leaves an answer on its way that
            # nobody would match with its question.
            self.stop()
            raise
        finally:
            if cancellation is not None:
                cancellation.armed = False

    def _ending(self, method: str, call: Call, reason: Exception) -> MMError:
        model = self.record.model
        if isinstance(reason, CancelRequested):
            return Cancelled(f"{model} was cancelled")
        option = "timeouts.load in its manifest" if method == "load" else "--timeout SECONDS"
        return TimedOut(
            f"{model} took longer than {call.seconds:g} seconds to {method}",
            fix=f"allow more with {option}",
        )

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

    def crashed(self, why: str = "") -> Crashed:
        """Stop what is left of the worker and return the error that tells how it died."""
        tail = self._log_tail()
        # Asked before `stop`, which would end a worker that only broke the protocol.
        if not why:
            wait(self._supervisor, LET_GO)
            why = _how(read_json(self._runtime.end(self.record.id)))
        self.stop()
        return Crashed(
            f"the worker of {self.record.model} {why}",
            fix=f"its log is {self.record.log}",
            detail=tail or self._log_tail(),
        )

    def stop(self) -> None:
        """End the worker and its children, and forget its files. May be called more than once."""
        if not self.alive:
            return
        self.alive = False
        with contextlib.suppress(AttributeError):
            self.connection.close()
        os.close(self._lifeline)
        finish(self._supervisor, LET_GO)
        self._runtime.forget(self.record.id)

    def _log_tail(self) -> str:
        try:
            with Path(self.record.log).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 64 * 1024))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(line[:LOG_COLUMNS] for line in text.splitlines()[-LOG_LINES:])


def _how(end: Any) -> str:
    """Say in words what the supervisor has recorded, if it has."""
    known = end if isinstance(end, dict) else {}
    number, code = known.get("signal"), known.get("exit")
    if isinstance(number, int):
        try:
            return f"was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"was killed by signal {number}"
    if isinstance(code, int):
        return f"ended with exit status {code} before it answered"
    return "ended before it answered"
