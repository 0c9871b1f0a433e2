"""`LOCAL_PEERCRED` on Linux, as macOS answers it: XNU's `struct xucred` (bsd/sys/ucred.h).

Imported by this process and by workers, which have the standard library alone.
"""

import socket
import struct

REAL = socket.socket.getsockopt


def getsockopt(sock, level, option, *size):
    """Answer as the socket does, but for the one option."""
    if (level, option) != (0, 1):
        return REAL(sock, level, option, *size)
    _, user, group = struct.unpack("3i", REAL(sock, socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return struct.pack("=IIh2xI60x", 0, user, 1, group)[: size[0]]


socket.socket.getsockopt = getsockopt
