"""Ends a worker when its supervisor dies, whatever the worker is doing at that moment.

`pipe` is the reading end of a pipe whose only writer is the supervisor. Its end of file means that
the supervisor is gone, killed by signal 9 included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from . import capabilities


def attach(pipe: int) -> None:
    """Have this process group killed at the end of file of `pipe`, as this system does best.

    The caller leads its process group.
    """
    if capabilities.GROUP_SIGNALS:
        attach_by_kernel(pipe)
    else:
        attach_by_thread(pipe)


def attach_by_kernel(pipe: int) -> None:
    """Let the kernel kill the whole group, also while C code holds the interpreter's lock.

    A pipe whose last writer has gone sends the signal chosen by F_SETSIG to its owner, and an
    owner may be a process group (fcntl(2), "Signal-driven I/O"; Linux).
    """
    import fcntl

    def bind(descriptor: int, owner: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, owner)
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)

    bind(pipe, -os.getpgrp())
    with contextlib.suppress(OSError):  # there is no /proc
        # This process once more by itself: a model may leave the group. An owner belongs to an
        # open file, so that a second one is needed.
        bind(os.open(f"/proc/self/fd/{pipe}", os.O_RDONLY | os.O_NONBLOCK), os.getpid())
    if _readable(pipe):
        # The supervisor died before the arrangement stood.
        os.killpg(os.getpgrp(), signal.SIGKILL)


def attach_by_thread(pipe: int) -> None:
    """Wait in a thread for the end of file, and kill the group then."""

    def wait() -> None:
        while os.read(pipe, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="mm-parent-death", daemon=True).start()


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0)[0])
