"""What this system and its Python offer; each is looked for by itself.

All that differs between systems asks here. So tests can take all of it away in one place, and what
runs then is what runs on a system that offers none of it.
"""

import _socket
import fcntl
import posix
import select
import sys

MEMORY_FILES = hasattr(posix, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
"""Memory files that can be sealed (memfd_create(2)). Some Pythons lack them on Linux, too."""

PEER_CREDENTIALS = hasattr(_socket, "SO_PEERCRED")
"""The peer of a Unix socket by `SO_PEERCRED` (unix(7)); else by `LOCAL_PEERCRED`."""

GROUP_SIGNALS = hasattr(fcntl, "F_SETSIG")
"""Signals to a process group when a pipe ends (fcntl(2), "Signal-driven I/O")."""

SHARED_POLLING = hasattr(select, "EPOLLEXCLUSIVE")
"""A poller that wakes one of two threads (epoll_ctl(2))."""

PROCESS_FILES = posix.access("/proc/self/stat", posix.R_OK)
"""Processes and memory in files (proc(5)); else by calls of the C library."""

PROCESS_DESCRIPTORS = hasattr(posix, "pidfd_open")
"""Descriptors that stand for processes (pidfd_open(2))."""

PLAIN_FORKS = sys.platform != "darwin"
"""Whether a process that was forked, and executed nothing since, may use the system's frameworks.
No call says so: Metal's compiler service refuses such a process (XPC_ERROR_CONNECTION_INVALID)."""
