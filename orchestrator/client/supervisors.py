"""Processes that hold a worker: identified by id and start time, waited for, and ended."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.system import processes
from orchestrator.worker import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_SECONDS = 3.0
"""Seconds in which a supervisor ends its worker; it needs half a second of its own."""

PAUSE = 0.05
"""Seconds between two looks at a process, where the system offers nothing to wait for."""

PIDFD_OPEN = getattr(os, "pidfd_open", None)

KEEP = b"k"
"""What the lifeline says when the worker is to outlive its client; as in `worker.supervise`."""


class SupervisorProcess(Protocol):
    """The process that holds one worker.

    Attributes:
        own: Whether this process started the worker, and may end it at any time.
    """

    own: bool

    def end(self) -> None:
        """Have the worker and its children ended, and wait until they are."""

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""


class OwnedProcess:
    """A supervisor that this process started: it ends when we close its lifeline, or die.

    A fork of this process holds no lifeline, and ends no worker of ours.
    """

    own = True

    def __init__(self, process: processes.Process, started: str, lifeline: int) -> None:
        self._process = process
        self._started = started
        self._lifeline = lifeline
        self._owner = os.getpid()
        _owned.add(self)

    def end(self) -> None:
        """Close the lifeline and wait."""
        if os.getpid() != self._owner:
            return
        self._release()
        self.wait(STOP_SECONDS)
        processes.stop(self._process)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        # Not the child's own `wait`, which looks again and again when it is given a time.
        return wait_gone(self._process.pid, self._started, seconds) and processes.wait(
            self._process, seconds
        )

    def keep(self) -> None:
        """Have the worker outlive us. From now on it ends as any other process's does."""
        os.write(self._lifeline, KEEP)
        self._release()
        processes.disown(self._process)

    def forked(self) -> None:
        """Close the lifeline in a child, where it would keep the worker when we are killed."""
        self._release()
        processes.disown(self._process)

    def _release(self) -> None:
        _owned.discard(self)
        lifeline, self._lifeline = self._lifeline, -1  # its number may be reused
        with contextlib.suppress(OSError):  # every descriptor was closed
            os.close(lifeline)


_owned: weakref.WeakSet[OwnedProcess] = weakref.WeakSet()
"""Those whose lifelines this process holds."""


def _forked() -> None:
    for supervisor in list(_owned):
        supervisor.forked()


os.register_at_fork(after_in_child=_forked)


class ForeignProcess:
    """A supervisor that another process started, perhaps long ago."""

    own = False

    def __init__(self, pid: int, started: str) -> None:
        self._pid = pid
        self._started = started

    def end(self) -> None:
        """Ask it to end its worker, and kill it when it does not; the worker dies with it."""
        send_signal(self._pid, self._started, signal.SIGTERM)
        if not self.wait(STOP_SECONDS):
            send_signal(self._pid, self._started, signal.SIGKILL)
            self.wait(STOP_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        return wait_gone(self._pid, self._started, seconds)


def is_alive(pid: int, started: str) -> bool:
    """Return whether the process `pid` is the one that began at `started`."""
    return bool(started) and start_time(pid) == started


def send_signal(pid: int, started: str, number: int) -> bool:
    """Send a signal to the process that began at `started`, and to no other of the same id.

    Returns:
        Whether it was there.
    """
    try:
        descriptor = open_process(pid)
        if descriptor is None:
            if is_alive(pid, started):
                os.kill(pid, number)
                return True
            return False
        # The descriptor stands for one process; the check after it was opened shows which.
        try:
            if not is_alive(pid, started):
                return False
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pid: int, started: str, seconds: float) -> bool:
    """Wait at most `seconds` for the end of a process; return whether it has ended."""
    try:
        descriptor = open_process(pid)
    except ProcessLookupError:
        return True
    if descriptor is None:
        until = time.monotonic() + seconds
        while is_alive(pid, started):
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE)
        return True
    try:
        if not is_alive(pid, started):
            return True
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def open_process(pid: int, pidfd_open: Callable[[int], int] | None = PIDFD_OPEN) -> int | None:
    """Return a descriptor that stands for a process; None where there is no such thing.

    That is any system but Linux, Linux before 5.3, a sandbox that does not know the call, and a
    Python that was built without it.

    Args:
        pid: Its id.
        pidfd_open: The call (pidfd_open(2)); a port for tests.

    Raises:
        ProcessLookupError: When there is no such process.
    """
    if pidfd_open is None or not capabilities.PROCESS_DESCRIPTORS:
        return None
    try:
        return pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        raise


def start_time(pid: int) -> str:
    """Return when the process `pid` began, in the system's own form; empty when it is gone.

    A zombie is gone.
    """
    if not capabilities.PROCESS_FILES:
        from orchestrator.system import darwin

        return darwin.start_time(pid) or ""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    # The second field is the program's name in parentheses, which may hold anything; the state is
    # field 3 and the start, in ticks since the boot, field 22 (proc_pid_stat(5)).
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else f"{boot}:{fields[19]}"
