"""What goes to one peer: written at once where the peer reads, else kept and sent by a thread.

So no one who sends waits for a peer that is stopped or slow: a worker's answer to one client costs
the others nothing, and a client's deadline holds while it sends. Who sends without end waits for
room (`await_room`), so that what is kept has a limit.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import threading
import time
from collections import deque

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 0.1
"""Seconds in which a peer that reads takes what is sent; the rest is left to the thread."""

LOOK = 1.0
"""Seconds between two looks of the thread at a peer that reads nothing: the socket may have been
closed here, and its number be another's by now."""

MAX_UNREAD = 64 * 1024 * 1024
"""Bytes that may be kept when one event more is sent; memory files that travel along count."""

# A plain number: the enumeration's own operators cost more than the system call.
DONT_WAIT = int(socket.MSG_DONTWAIT)


class SendQueue:
    """The frames on their way to the peer of `sock`, in order; any thread may send.

    Args:
        sock: A blocking stream socket.
        most: As `MAX_UNREAD`.

    Attributes:
        unread: Bytes that wait for the peer, or waited when the connection broke.
    """

    def __init__(self, sock: socket.socket, most: int = MAX_UNREAD) -> None:
        self.unread = 0
        self._most = most
        self._sock = sock
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._kept: deque[_Frame] = deque()  # while it is not empty, a thread sends it

    def send(self, data: bytes) -> None:
        """Send a frame without buffers, or keep what the peer does not take within a moment.

        Raises:
            OSError: When the connection is broken.
        """
        with self._lock:
            sent = 0
            try:
                if not self._kept:
                    sent = self._sock.send(data, DONT_WAIT)
                    if sent == len(data):
                        return
            except BlockingIOError:
                sent = 0  # the peer has to read first
            except OSError:
                self.hang_up()
                raise
            self._send_or_keep(_Frame([memoryview(data)[sent:]], (), 0))

    def send_pieces(
        self, pieces: list[bytes | memoryview], descriptors: Sequence[int], large: int
    ) -> None:
        """Do the same with a frame of several pieces.

        Args:
            pieces: Its bytes.
            descriptors: Memory files that travel with its first byte; the caller closes them.
            large: Their bytes.

        Raises:
            OSError: As `send`.
        """
        with self._lock:
            self._send_or_keep(_Frame(pieces, descriptors, large))

    def await_room(self, seconds: float) -> None:
        """Wait until no more is kept for the peer than may be.

        Raises:
            OSError: When the peer has taken nothing for `seconds`.
        """
        if self.unread <= self._most:
            return
        with self._moved:
            while self._kept and self.unread > self._most:
                if not self._moved.wait(seconds):
                    self.hang_up()
                    raise TimeoutError(f"nothing was read for {seconds:g} seconds")

    def hang_up(self) -> None:
        """Break the connection for both sides, wherever its socket is held."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _send_or_keep(self, frame: _Frame) -> None:
        try:
            if self._kept or not self._send_now(frame):
                self._keep(frame)
        except BaseException:
            # What was sent may be half a frame, which nothing else may follow.
            self.hang_up()
            raise

    def _send_now(self, frame: _Frame) -> bool:
        """Write what the peer takes within a moment; return whether that is all."""
        if frame.write(self._sock):
            return True
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0 and self._await_reader(left):
            if frame.write(self._sock):
                return True
        return False

    def _await_reader(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._sock, select.POLLOUT)
        return bool(poller.poll(seconds * 1000))

    def _keep(self, frame: _Frame) -> None:
        frame.copy()
        self._kept.append(frame)
        self.unread += frame.size
        if len(self._kept) == 1:
            threading.Thread(target=self._send_kept, name="mm-sender", daemon=True).start()

    def _send_kept(self) -> None:
        """Send what is kept until nothing is, or the connection breaks."""
        kept = True
        while kept:
            frame = self._kept[0]
            before = frame.size
            try:
                self._await_reader(LOOK)
                whole = frame.write(self._sock)
            except (OSError, ValueError):  # it is broken, or closed here
                self._drop()
                return
            with self._moved:
                taken = before - frame.size
                self.unread -= taken
                if whole:
                    self._kept.popleft()
                kept = bool(self._kept)
                if taken:
                    self._moved.notify_all()

    def _drop(self) -> None:
        self.hang_up()
        with self._moved:
            for frame in self._kept:
                frame.close()
            self._kept.clear()
            self._moved.notify_all()


class _Frame:
    """What is left to write of a frame; the descriptors travel with its first byte."""

    __slots__ = ("_copied", "_descriptors", "_large", "_pieces")

    def __init__(
        self, pieces: list[bytes | memoryview], descriptors: Sequence[int], large: int
    ) -> None:
        self._pieces = pieces
        self._descriptors = descriptors
        self._large = large
        self._copied = False

    @property
    def size(self) -> int:
        """Bytes that it holds in memory."""
        return sum(map(len, self._pieces)) + (self._large if self._descriptors else 0)

    def write(self, sock: socket.socket) -> bool:
        """Write what the peer takes at once; return whether nothing is left.

        Raises:
            OSError: When the connection is broken.
        """
        pieces = self._pieces
        try:
            if self._descriptors:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._descriptors))
                sent = sock.sendmsg(pieces, [rights], DONT_WAIT)
                self.close()
            else:
                sent = sock.sendmsg(pieces, [], DONT_WAIT)
        except BlockingIOError:
            return False
        while pieces and sent >= len(pieces[0]):
            sent -= len(pieces[0])
            del pieces[0]
        if sent:
            pieces[0] = memoryview(pieces[0])[sent:]
        return not pieces

    def copy(self) -> None:
        """Copy what it stands for: its memory is the runner's, its descriptors are the sender's."""
        self._pieces = [memoryview(b"".join(self._pieces))]
        self._descriptors = [os.dup(each) for each in self._descriptors]
        self._copied = True

    def close(self) -> None:
        """Be done with the descriptors."""
        if self._copied:
            for each in self._descriptors:
                os.close(each)
        self._descriptors = ()
