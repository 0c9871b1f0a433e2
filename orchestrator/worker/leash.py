"""What ends a worker when its supervisor dies, whatever the worker is doing at that moment.

The leash is the read end of a pipe whose only writer is the supervisor. Its end of file means that
the supervisor is gone, killed by signal 9 included.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def attach(leash: int) -> None:
    """Tie this process group to the pipe `leash`, in the best way of this system.

    The caller leads its process group.
    """
    if sys.platform == "linux":
        attach_by_kernel(leash)
    else:
        attach_by_thread(leash)


def attach_by_kernel(leash: int) -> None:
    """Let the kernel kill the whole group, also while C code holds the interpreter's lock.

    A pipe whose last writer has gone sends the signal chosen by F_SETSIG to its owner, and an
    owner may be a process group (fcntl(2), "Signal-driven I/O"; Linux).
    """
    import fcntl

    fcntl.fcntl(leash, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(leash, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(leash, fcntl.F_SETFL, fcntl.fcntl(leash, fcntl.F_GETFL) | os.O_ASYNC)
    poller = _readable(leash)
    if poller:
        # The supervisor died before the arrangement stood.
        os.killpg(os.getpgrp(), signal.SIGKILL)


def attach_by_thread(leash: int) -> None:
    """Wait in a thread for the end of file, and kill the group then."""

    def wait() -> None:
        while os.read(leash, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="mm-leash", daemon=True).start()


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 0)[0])
