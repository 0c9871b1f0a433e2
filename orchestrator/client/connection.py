"""Requests to a worker and its answers, over one channel; every message is checked first."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from orchestrator.jobs.job import Event
from orchestrator.worker.frames import ProtocolError
from orchestrator.worker.spin_wait import SpinWait

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.worker.channel import Channel
    from orchestrator.worker.frames import Message

TICK = 1.0
"""Seconds after which a wait that nothing else can end checks its deadline."""

QUICK = 0.01
"""Seconds: after a wait shorter than this, the next one spins first. Of a longer wait, waking up is
a small part."""

NOTIFICATIONS = frozenset({"waiting", "started", "progress", "log", "chunk"})


class ConnectionLost(Exception):
    """The worker closed the connection, or it broke.

    Attributes:
        unread: Whether it ended before it had read all that was sent to it.
    """

    def __init__(self, message: str, *, unread: bool = False) -> None:
        super().__init__(message)
        self.unread = unread


class DeadlinePassed(Exception):
    """No answer came in time."""


class CancelRequested(Exception):
    """The caller was asked to stop while it waited.

    Attributes:
        times: How often.
    """

    def __init__(self, times: int) -> None:
        super().__init__(f"asked {times} times")
        self.times = times


class RemoteError(Exception):
    """The worker answered with an error.

    Attributes:
        code: The JSON-RPC code.
        traceback: The runner's, where it raised; else empty.
        errno: The system's number of what the machine refused; else 0.
    """

    def __init__(self, code: int, message: str, traceback: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.traceback = traceback
        self.errno = errno


class Connection:
    """One client's connection to a worker; one request at a time.

    Any thread may `cancel`; one thread sends requests and waits.

    Args:
        channel: What it sends through.
        ended: Whether the worker's process is gone.
        last: The id before that of the first request.

    Attributes:
        last: The id of the request that was sent last.
    """

    def __init__(
        self, channel: Channel, ended: Callable[[], bool] = lambda: False, last: int = 0
    ) -> None:
        self._channel = channel
        self._ended = ended
        tick = struct.pack("@ll", int(TICK), 0)
        channel.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
        self.last = last
        self._received: list[Message] = []  # read, and not returned yet
        self._quick = False  # whether the last wait was a short one
        self._socket_poller = select.poll()
        self._socket_poller.register(channel.sock, select.POLLIN)
        self._spin = SpinWait()
        self._listening: Cancellation | None = None
        self._listen(None)

    def send(
        self,
        method: str,
        params: dict[str, Any],
        parts: list[memoryview] | None = None,
        directory: str = "",
    ) -> int:
        """Send a request and return its id.

        Raises:
            ConnectionLost: When the worker is gone.
            ValueError, TypeError, RecursionError: When it does not fit into a message.
        """
        self.last += 1
        body = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}
        try:
            self._channel.send(body, parts, directory)
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        return self.last

    def cancel(self) -> None:
        """Ask the worker to stop the request that was sent last.

        Raises:
            ConnectionLost: When the worker is gone.
        """
        body = {"jsonrpc": "2.0", "method": "cancel", "params": {"id": self.last}}
        try:
            self._channel.send(body)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def next(
        self, deadline: float, cancellation: Cancellation | None = None, directory: str = ""
    ) -> Message | Event:
        """Return the next message on the last request: an event, or the answer.

        Args:
            deadline: A `time.monotonic` time; infinity for none.
            cancellation: What may ask to stop the request.
            directory: The job's directory.

        Raises:
            RemoteError: When the answer is an error.
            DeadlinePassed: The request goes on; wait again or stop the worker.
            CancelRequested: Likewise.
            ConnectionLost: When the worker is gone.
            ProtocolError: When it sent what the protocol does not allow.
        """
        while True:
            while not self._received:
                began = time.monotonic()
                ready = self._quick and self._spin.poll(self._socket_poller.poll)
                # If only an answer or the deadline can end the wait, the read itself waits.
                if not ready and (cancellation is not None or deadline - began <= TICK):
                    self._await_input(deadline, cancellation)
                try:
                    messages = self._channel.read(0, directory)
                except BlockingIOError:  # a tick has passed
                    self._check_alive()
                    continue
                except OSError as error:
                    raise self._lost(str(error), error) from error
                if messages is None:
                    raise self._lost("the worker closed the connection")
                self._received = messages
                self._quick = time.monotonic() - began < QUICK
            received = self._sort(self._received.pop(0))
            if received is not None:
                return received

    def next_within(self, seconds: float) -> Message | Event | None:
        """Return what `next` does, or None when nothing comes in `seconds`."""
        try:
            return self.next(time.monotonic() + seconds)
        except DeadlinePassed:
            return None

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
        self._ended = lambda: True  # it refers to who has this connection, and both would stay

    def _await_input(self, deadline: float, cancellation: Cancellation | None) -> None:
        if cancellation is not self._listening:
            self._listen(cancellation)
        left = deadline - time.monotonic()
        ready = self._poller.poll(max(0, min(left, TICK)) * 1000)
        if cancellation is not None:
            number = cancellation.fileno()
            if any(descriptor == number for descriptor, _ in ready):
                raise CancelRequested(cancellation.drain())
        if not ready:
            self._check_alive()
            if deadline <= time.monotonic():
                raise DeadlinePassed

    def _lost(self, how: str, error: OSError | None = None) -> ConnectionLost:
        # A local socket is reset, and not ended, when its peer left something unread.
        reset = isinstance(error, ConnectionResetError)
        return ConnectionLost(how, unread=reset or self._channel.unread > 0)

    def _check_alive(self) -> None:
        """Check that the worker is there: a child of its may hold its end of the socket."""
        if self._ended():
            raise self._lost("the worker has ended")

    def _listen(self, cancellation: Cancellation | None) -> None:
        self._poller = select.poll()
        self._poller.register(self._channel.sock, select.POLLIN)
        if cancellation is not None:
            self._poller.register(cancellation, select.POLLIN)
        self._listening = cancellation

    def _sort(self, message: Message) -> Message | Event | None:
        """Check a message; return the event or answer in it, or None if its request has ended."""
        body = message.body
        if body.get("jsonrpc") != "2.0":
            raise ProtocolError("a message without jsonrpc 2.0")
        if "method" in body:
            method, params = body["method"], body.get("params")
            known = isinstance(method, str) and method in NOTIFICATIONS
            if not known or not isinstance(params, dict):
                raise ProtocolError(f"a notification {str(method)[:80]!r}")
            if params.get("id") != self.last:
                return None
            return Event(method, params, message.buffers)
        if "error" in body:
            raise self._error(body["error"], body.get("id"))
        if body.get("id") != self.last or not isinstance(body.get("result"), dict):
            raise ProtocolError("an answer to no request")
        return message

    def _error(self, error: Any, identity: Any) -> Exception:
        if not isinstance(error, dict):
            return ProtocolError("an error that is no object")
        code, text, data = error.get("code"), error.get("message"), error.get("data", {})
        if not isinstance(code, int) or not isinstance(text, str) or not isinstance(data, dict):
            return ProtocolError("an error without code and message")
        if identity is None:
            return ProtocolError(f"the worker refused a message: {text}")
        if identity != self.last:
            return ProtocolError("an answer to no request")
        trace, number = data.get("traceback", ""), data.get("errno", 0)
        return RemoteError(
            code,
            text,
            trace if isinstance(trace, str) else "",
            number if isinstance(number, int) else 0,
        )
