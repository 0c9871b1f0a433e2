"""One connection of the protocol: a socket, its frames, and the descriptors that travel with them.

Used by both sides. Any thread may send; one thread receives.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque

from . import buffers, frames
from .frames import BufferSpec, Decoder, Message, ProtocolError
from .send_queue import SendQueue

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

READ_SIZE = 64 * 1024
"""Bytes of one read; each channel has a buffer of that size."""

MAX_WAITING_DESCRIPTORS = 2 * frames.MAX_BUFFERS
SOCKET_BUFFER = 128 * 1024
"""Bytes that a socket holds at least, each way: macOS has 8 KiB, and wakes both sides for each."""

_ROOM = socket.CMSG_SPACE(4 * frames.MAX_BUFFERS)
_CLOSE_ON_EXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
"""Linux: received descriptors are never inherited, not even by a process started meanwhile."""


class Channel:
    """Sends and receives messages over the connected Unix socket `sock`.

    Args:
        sock: A stream socket of the Unix family; the channel owns it from now on.
        large: How large buffers travel until both sides agree on `use_memory_files`.
        encode: `frames.encode`, or what does the same with less work.
        parse: As for `Decoder`.
    """

    def __init__(
        self,
        sock: socket.socket,
        large: Any = None,
        encode: Callable[..., bytes] = frames.encode,
        parse: Callable[[bytes | memoryview], dict[str, Any]] = frames.parse,
    ) -> None:
        self.sock = sock
        for which in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            if sock.getsockopt(socket.SOL_SOCKET, which) < SOCKET_BUFFER:
                sock.setsockopt(socket.SOL_SOCKET, which, SOCKET_BUFFER)
        self._large = large or buffers.DirectoryFiles()
        self._encode = encode
        self._decoder = Decoder(parse)
        self._descriptors: deque[int] = deque()
        self._queue = SendQueue(sock)
        self.more = False
        """Whether there may be more to read than the last `read` has read."""
        self._read_view = memoryview(bytearray(READ_SIZE))
        self._read_into = [self._read_view]

    def use_memory_files(self) -> None:
        """Send and take large buffers as memory files from now on: the peer can do so, too."""
        self._large = buffers.MemoryFiles()

    def fileno(self) -> int:
        """Return the socket's descriptor, for `select`."""
        return self.sock.fileno()

    def send(
        self, body: dict[str, Any], parts: list[memoryview] | None = None, directory: str = ""
    ) -> None:
        """Send one message with `parts`, each flat bytes; what the peer leaves unread is kept.

        Args:
            body: The JSON-RPC object.
            parts: The buffers that `body` refers to by their positions.
            directory: The job's directory, for large buffers that go as files.

        Raises:
            OSError: When the peer is gone.
            ValueError, TypeError, RecursionError: When the message is too large or not JSON, or
                there is no room for its buffers.
        """
        if not parts:
            self._queue.send(self._encode(body))
            return
        if len(parts) > frames.MAX_BUFFERS:
            raise ValueError(f"{len(parts)} buffers; {frames.MAX_BUFFERS} are allowed")
        if sum(len(part) for part in parts if len(part) < buffers.THRESHOLD) > frames.MAX_INLINE:
            raise ValueError(f"more than {frames.MAX_INLINE} bytes of small buffers")
        specs: list[BufferSpec] = []
        descriptors: list[int] = []
        inline: list[memoryview] = []
        large = 0
        try:
            for part in parts:
                if len(part) < buffers.THRESHOLD:
                    specs.append(BufferSpec("inline", len(part)))
                    inline.append(part)
                else:
                    spec, descriptor = self._give(part, directory)
                    specs.append(spec)
                    if descriptor is not None:
                        descriptors.append(descriptor)
                        large += len(part)
            # The descriptors ride on the frame's first bytes, so that they have come when it is
            # whole.
            self._queue.send_pieces([self._encode(body, specs), *inline], descriptors, large)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _give(self, part: memoryview, directory: str) -> tuple[BufferSpec, int | None]:
        try:
            given: tuple[BufferSpec, int | None] = self._large.give(part, directory)
        except OSError as error:  # of this side's own: the peer is not gone
            raise ValueError(f"no room for {len(part)} bytes ({error})") from error
        return given

    def await_room(self, seconds: float) -> None:
        """Wait until the peer has taken most of what was sent; for those who send much.

        Raises:
            OSError: When it has taken nothing for `seconds`, or is gone.
        """
        self._queue.await_room(seconds)

    @property
    def unread(self) -> int:
        """Bytes that the peer has not taken yet, or had not when the connection broke."""
        return self._queue.unread

    def read(self, wait: int = 0, directory: str = "") -> list[Message] | None:
        """Read once, and return the messages that are whole by now; None when the peer has left.

        The socket's time-out holds.

        Args:
            wait: `DONT_WAIT` to raise BlockingIOError when nothing has come.
            directory: As for `send`; a request names its own among its parameters.

        Raises:
            ProtocolError: When the peer broke the protocol.
            BlockingIOError: When nothing came in time.
            OSError: When the connection broke, in the middle of a frame too.
        """
        count, ancillary, flags, _ = self.sock.recvmsg_into(
            self._read_into, _ROOM, wait | _CLOSE_ON_EXEC
        )
        if ancillary:
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._keep_descriptors(payload)
            if flags & socket.MSG_CTRUNC or len(self._descriptors) > MAX_WAITING_DESCRIPTORS:
                raise ProtocolError("more descriptors than a message may carry")
        if not count:
            if not self._decoder.idle:
                # It was killed, or has dropped the connection: no fault of what it sends.
                raise ConnectionAbortedError("the peer left in the middle of a message")
            return None
        self.more = count == READ_SIZE
        messages = self._decoder.feed(self._read_view, count)
        for message in messages:
            if message.specs:
                self._complete(message, directory)
        return messages

    def _keep_descriptors(self, payload: bytes) -> None:
        numbers = array.array("i")
        numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
        for number in numbers:
            if not _CLOSE_ON_EXEC:
                os.set_inheritable(number, False)  # noqa: FBT003 - the function's own form
            self._descriptors.append(number)

    def _complete(self, message: Message, directory: str) -> None:
        """Put the buffers that did not come inline in their places.

        Raises:
            ProtocolError: When one is not what was announced.
        """
        params = message.body.get("params")
        if not directory and isinstance(params, dict):
            directory = str(params.get("directory", ""))
        inline = iter(message.buffers)
        message.buffers = [
            memoryview(next(inline)).toreadonly()
            if spec.kind == "inline"
            else self._take(spec, directory)
            for spec in message.specs
        ]

    def _take(self, spec: BufferSpec, directory: str) -> memoryview:
        wanted = spec.kind == "memory"
        if wanted != isinstance(self._large, buffers.MemoryFiles):
            raise ProtocolError(f"a buffer came as {spec.kind}, which was not agreed")
        descriptor = self._descriptors.popleft() if wanted and self._descriptors else None
        taken: memoryview = self._large.take(spec, descriptor, directory)
        return taken

    def close(self) -> None:
        """Close the connection and every descriptor that was not taken."""
        # `shutdown` first: it reaches the peer even where a forked child holds the socket open.
        self._queue.hang_up()
        self.sock.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
