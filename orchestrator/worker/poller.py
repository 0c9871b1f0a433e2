"""Two threads that wait for the same sockets: the main one while it is idle, a reader while not.

A small job is done sooner by the thread that has read it than after a hand-over to another. On
Linux the kernel wakes the reader only while the main thread does not wait (EPOLLEXCLUSIVE,
epoll_ctl(2)). That is an optimisation and no promise: either or both may wake at any time, and a
thread that wakes reads what is there without blocking. Elsewhere the reader alone reads.
"""

from __future__ import annotations

import contextlib
import os
import select
import time

from . import capabilities
from .spin_wait import SpinWait

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

PATIENCE = 0.002
"""Seconds that the reader leaves a message to the main thread, should that be about to wait."""

LONGEST = 3600.0
"""Seconds of one wait of the main thread; a poller takes no more than 24 days."""


class Poller:
    """Waits for readable descriptors, in two threads.

    Args:
        shared: Whether the main thread waits for them as well; by default where it can.
    """

    def __init__(self, *, shared: bool | None = None) -> None:
        shared = capabilities.SHARED_POLLING if shared is None else shared
        self._shared = shared
        self._main: Any = select.epoll() if shared else select.poll()
        self._reader: Any = select.epoll() if shared else select.poll()
        self._event = select.EPOLLIN | select.EPOLLEXCLUSIVE if shared else select.POLLIN
        self._second = 1 if shared else 1000
        """What a second is in the poller's unit of time."""
        self._spin = SpinWait()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._main.register(self._wake_reader, select.POLLIN)

    def add(self, descriptor: int) -> None:
        """Wait for `descriptor` too; called by the thread that handles messages at that moment."""
        # The main thread first: the kernel asks in this order.
        if self._shared:
            self._main.register(descriptor, self._event)
        self._reader.register(descriptor, self._event)

    def remove(self, descriptor: int) -> None:
        """Stop waiting for it; call this before it is closed."""
        if self._shared:
            self._main.unregister(descriptor)
        self._reader.unregister(descriptor)

    def wait_in_main(self, seconds: float | None, *, soon: bool) -> list[tuple[int, int]]:
        """Return pairs of a readable descriptor and its events.

        Args:
            seconds: After how long to return none, or `LONGEST` where that is less; None for never.
            soon: Whether something is likely to come at once.

        Returns:
            After `wake`, a descriptor that no one has added is among them.
        """
        ready = self._spin.poll(self._main.poll) if soon and self._shared else []
        if not ready:
            limit = None if seconds is None else min(seconds, LONGEST) * self._second
            ready = self._main.poll(limit)
        for descriptor, _ in ready:
            if descriptor == self._wake_reader:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_reader, 4096)
        return ready

    def wait_in_reader(self) -> list[tuple[int, int]]:
        """Return pairs of a readable descriptor and its events."""
        while True:
            ready: list[tuple[int, int]] = self._reader.poll()
            if self._shared:
                # What comes while the main thread is between two waits is better left to it.
                time.sleep(PATIENCE)
                ready = self._reader.poll(0)
            if ready:
                return ready

    def wake(self) -> None:
        """Let `wait_in_main` return."""
        with contextlib.suppress(BlockingIOError):  # it will find what is in the pipe
            os.write(self._wake_writer, b"!")
