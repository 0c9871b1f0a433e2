"""How large buffers travel: in sealed memory files, or in files in the job's directory.

Memory files need both sides: `hello` says what they have. Below `THRESHOLD` bytes a buffer goes
behind its message.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys

from . import capabilities
from .frames import BufferSpec, ProtocolError

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

THRESHOLD = 1024 * 1024
"""Bytes from which a buffer leaves the socket. Below, one copy through the kernel is cheaper."""

CHUNK = 1 << 30
"""Bytes of one write; Linux writes at most 2 GiB at once."""

UNTRACKED: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""What keeps a mapping from holding a descriptor of its own, where Python can do so."""


class MemoryFiles:
    """A memory file, written once, sealed for good, its descriptor passed over the socket.

    The seals are what makes a mapping safe: a peer that could shrink a mapped file would kill its
    reader with SIGBUS.

    Args:
        most: Descriptors in use from which buffers are copied and not mapped, where a mapping
            keeps one open (Python before 3.13); by default half of those that may be open. A caller
            that keeps a thousand results does not run out of them.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = open_limit() // 2 if most is None else most

    def give(self, data: memoryview, directory: str) -> tuple[BufferSpec, int | None]:
        """Return where `data` (flat bytes) is now, and the descriptor to send along and close."""
        import fcntl

        del directory
        descriptor = os.memfd_create("mm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            write_all(descriptor, data)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, all_seals())
        except BaseException:
            os.close(descriptor)
            raise
        return BufferSpec("memory", len(data)), descriptor

    def take(self, spec: BufferSpec, descriptor: int | None, directory: str) -> memoryview:
        """Return the bytes that the peer gave, read-only and without a copy; close `descriptor`.

        Raises:
            ProtocolError: When the file is not what was announced, or is not sealed.
        """
        import fcntl

        del directory
        if descriptor is None:
            raise ProtocolError("a memory file was announced and did not come")
        try:
            try:
                seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise ProtocolError("the descriptor is no memory file") from None
            if seals & all_seals() != all_seals():
                raise ProtocolError("the memory file is not sealed")
            size = os.fstat(descriptor).st_size
            if size != spec.size:
                raise ProtocolError(f"a memory file of {size} bytes; {spec.size} were announced")
            if not UNTRACKED and next_descriptor(descriptor) >= self._most:
                return memoryview(read_all(descriptor, size)).toreadonly()
            # Private, because kernels before 6.7 refuse shared mappings of write-sealed files; the
            # seals keep the peer from changing what is seen.
            return memoryview(
                mmap.mmap(
                    descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, **UNTRACKED
                )
            )
        finally:
            os.close(descriptor)


class DirectoryFiles:
    """A file in the job's directory, which its receiver reads whole and removes.

    It is read and not mapped, because nothing keeps the peer from truncating it.
    """

    def give(self, data: memoryview, directory: str) -> tuple[BufferSpec, int | None]:
        """Write `data` (flat bytes) into a new file of `directory`."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        name = os.urandom(8).hex()
        path = os.path.join(directory, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
        return BufferSpec("file", len(data), name), None

    def take(self, spec: BufferSpec, descriptor: int | None, directory: str) -> memoryview:
        """Read the file that the peer left in `directory`, and remove it.

        Raises:
            ProtocolError: When it is missing, is a link, or has another size.
        """
        if descriptor is not None:
            os.close(descriptor)
        path = os.path.join(directory, spec.name)
        try:
            opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except (OSError, ValueError) as error:
            raise ProtocolError(f"the buffer {spec.name} cannot be read: {error}") from None
        with os.fdopen(opened, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            data = stream.read() if size == spec.size else b""
        if len(data) != spec.size:
            raise ProtocolError(f"a buffer of {size} bytes; {spec.size} were announced")
        os.unlink(path)
        return memoryview(data)


def open_limit() -> int:
    """Return how many descriptors this process may have open."""
    most = os.sysconf("SC_OPEN_MAX")
    return most if most > 0 else sys.maxsize


def next_descriptor(descriptor: int) -> int:
    """Return the number that a copy of `descriptor` would get: the lowest that is free."""
    try:
        copy = os.dup(descriptor)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return sys.maxsize
    os.close(copy)
    return copy


def read_all(descriptor: int, size: int) -> bytearray:
    """Return the `size` bytes of a file, whatever its position; fewer when it has fewer."""
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while count := os.preadv(descriptor, [view[done : done + CHUNK]], done):
        done += count
    return data


def can_use_memory_files() -> bool:
    """Return whether memory files work here: a kernel or a sandbox may refuse what Python has."""
    if not capabilities.MEMORY_FILES:
        return False
    try:
        os.close(os.memfd_create("mm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    except OSError:
        return False
    return True


def all_seals() -> int:
    """Return the four seals: no more sealing, no shrinking, no growing, no writing."""
    import fcntl

    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data` (flat bytes)."""
    while data:
        data = data[os.write(descriptor, data[:CHUNK]) :]
