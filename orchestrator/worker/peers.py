"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct

from . import capabilities

LOCAL_PEERCRED = 1
"""macOS: <sys/un.h>; its answer is `struct xucred` (<sys/ucred.h>): version, uid, groups."""


def peer_uid(sock: socket.socket) -> int:
    """Return the user id of the process that connected `sock`, or listened where it connected."""
    if capabilities.PEER_CREDENTIALS:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    answer = sock.getsockopt(0, LOCAL_PEERCRED, 76)
    return int(struct.unpack_from("=Ii", answer)[1])
