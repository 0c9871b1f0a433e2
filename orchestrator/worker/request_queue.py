"""Requests that wait for the worker's main thread: their order, their answers, their end."""

from __future__ import annotations

import contextlib
import threading

from . import frames, state
from .channel import Channel
from .frames import Message

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

BEFORE = "cancelled before it began"

MAX_WAITING = 1000
"""Requests that may wait at once."""

MAX_NUMBER = 1 << 53
"""Up to here a double holds every integer."""

STALL_SECONDS = 30.0
"""How long a job waits for a client that has left `MAX_UNREAD` unread and reads nothing more."""


class QueuedRequest:
    """A `load`, `run` or `shutdown` of one client."""

    __slots__ = (
        "buffers",
        "cancelled",
        "channel",
        "id",
        "job",
        "method",
        "number",
        "params",
        "place",
        "queue",
    )  # fmt: skip

    def __init__(self, channel: Channel, message: Message, queue: RequestQueue) -> None:
        body = message.body
        self.channel = channel
        self.queue = queue
        self.id = body["id"]
        exact = isinstance(self.id, int) and 0 < self.id < MAX_NUMBER
        self.number: int = self.id if exact else 0
        self.method: str = body["method"]
        self.params: dict[str, Any] = body["params"]
        self.buffers = message.buffers
        self.job: Any = None
        self.cancelled = False
        self.place = 0
        """The place that was sent to its client last; 0 for none."""

    def started(self) -> None:
        """Notify the client, which knows that it waited, that it does no longer."""
        if self.place:
            self.notify("started", {})

    def notify(
        self, method: str, params: dict[str, Any], buffers: list[memoryview] | None = None
    ) -> None:
        """Send a notification about this request; a client that has gone cancels it."""
        body = {"jsonrpc": "2.0", "method": method, "params": {"id": self.id, **params}}
        try:
            self.channel.send(body, buffers, self.params.get("directory", ""))
        except OSError:
            self.mark_cancelled()

    def report(
        self, method: str, params: dict[str, Any], buffers: list[memoryview] | None = None
    ) -> None:
        """Send an event of the job, no faster than its client reads in the end."""
        try:
            self.channel.await_room(STALL_SECONDS)
        except OSError:
            self.mark_cancelled()
            return
        self.notify(method, params, buffers)

    def answer(self, result: Any, buffers: list[memoryview] | None = None) -> None:
        """Send the result; a client that has gone is no error.

        Raises:
            ValueError, TypeError, RecursionError: When it does not fit into a message.
        """
        # First out of the queue: the client's next request may come before `send` returns.
        self.queue.end(self)
        body = {"jsonrpc": "2.0", "id": self.id, "result": result}
        directory = self.params.get("directory", "") if buffers else ""
        try:
            self.channel.send(body, buffers, directory)
        except OSError:
            return

    def fail(self, code: int, message: str, trace: str = "", number: int = 0) -> None:
        """Send an error."""
        self.queue.end(self)
        send_error(self.channel, self.id, code, message, trace, number)

    def mark_cancelled(self) -> None:
        """Let the runner know, when it looks, that it should stop."""
        self.cancelled = True
        if self.job is not None:
            self.job.cancelled = True


class RequestQueue:
    """The requests of all clients, in the order in which they came.

    Any thread adds and cancels. The first request is the one that runs, or is about to; the main
    thread alone begins and ends it. How many wait is shown in the worker's state before any client
    receives its place.

    Args:
        shared: The worker's state.
    """

    def __init__(self, shared: Any) -> None:
        self._lock = threading.Lock()
        self._all: list[QueuedRequest] = []
        self._shared = shared

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self._all)

    @property
    def waiting(self) -> int:
        """How many wait behind the first one."""
        return max(0, len(self._all) - 1)

    def add(self, request: QueuedRequest) -> None:
        """Add a request at the end and notify its client how many are before it, if any.

        Raises:
            ProtocolError: When too many wait already.
        """
        if len(self._all) >= MAX_WAITING:
            raise frames.ProtocolError("too many requests wait")
        with self._lock:
            request.place = len(self._all)
            self._all.append(request)
            if request.place:
                self._shared[state.WAITING] = request.place
        if request.place:
            request.notify("waiting", {"place": request.place})

    def begin(self) -> QueuedRequest | None:
        """Return the first request; None when there is none."""
        return self._all[0] if self._all else None

    def end(self, request: QueuedRequest) -> None:
        """Remove the first request, when it is being answered, and notify the others."""
        request.job = None  # it refers to the request: together they would outlive their client
        with self._lock:
            if not self._all or self._all[0] is not request:
                return  # it is out: its result could not be sent, and its error follows
            del self._all[0]
            if not self._all:
                return
            self._shared[state.WAITING] = self.waiting
            left = list(self._all)
        self._notify_places(left)

    def cancel(self, channel: Channel, identity: Any = None) -> None:
        """Cancel the requests of a client: the one with that id, or all.

        Those that wait are answered at once; the first one is asked to stop.
        """
        with self._lock:
            meant = [
                request
                for request in self._all
                if request.channel is channel and identity in (None, request.id)
            ]
            for request in meant:
                request.mark_cancelled()
            if meant and meant[0] is self._all[0]:
                del meant[0]
            for request in meant:
                self._all.remove(request)
            self._shared[state.WAITING] = self.waiting
            left = list(self._all)
        for request in meant:
            send_error(request.channel, request.id, frames.CANCELLED, BEFORE)
        if meant:
            self._notify_places(left)

    def _notify_places(self, left: list[QueuedRequest]) -> None:
        """Send those that wait their new places; the first one gets `started` when it begins."""
        for place, request in enumerate(left):
            if place and request.place > place:
                request.place = place
                request.notify("waiting", {"place": place})


def reply(channel: Channel, identity: Any, result: Any) -> None:
    """Answer a request; a client that has gone is no error."""
    with contextlib.suppress(OSError):
        channel.send({"jsonrpc": "2.0", "id": identity, "result": result})


def send_error(
    channel: Channel, identity: Any, code: int, message: str, trace: str = "", number: int = 0
) -> None:
    """Answer a request with an error.

    Args:
        channel: Where to.
        identity: The request's id.
        code: What kind of error.
        message: What it says, in one line.
        trace: A traceback for the runner's author.
        number: The system's number of what the machine refused.
    """
    limit = frames.MAX_MESSAGE // 32  # an escaped character may take 12 bytes
    error: dict[str, Any] = {"code": code, "message": message[:limit]}
    if trace:
        error["data"] = {"traceback": trace[-limit:]}
        if number:
            error["data"]["errno"] = number
    with contextlib.suppress(OSError):
        channel.send({"jsonrpc": "2.0", "id": identity, "error": error})
