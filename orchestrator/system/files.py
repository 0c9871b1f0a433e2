"""Reading and appending to regular files; anything else in a file's place is refused.

A named pipe, a terminal or another device would be waited for, perhaps for ever. What users name
as inputs on the command line may be one and is not opened here.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_A_FILE = "Not a regular file"


def allow_open_files(wanted: int, limits: Any = resource) -> None:
    """Let this process, and those that it starts, have so many files open, or as many as may be.

    macOS starts programs with 256.

    Args:
        wanted: How many; below macOS's OPEN_MAX (10,240), beyond which it refuses any.
        limits: The module `resource`, for tests.
    """
    now, most = limits.getrlimit(limits.RLIMIT_NOFILE)
    allowed = wanted if most == limits.RLIM_INFINITY else min(wanted, most)
    if now != limits.RLIM_INFINITY and now < allowed:
        with suppress(OSError, ValueError):
            limits.setrlimit(limits.RLIMIT_NOFILE, (allowed, most))


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file to read it.

    Raises:
        OSError: When it is none, or cannot be opened.
    """
    return os.fdopen(_open(path, os.O_RDONLY), "rb")


def read_file(path: Path) -> bytes:
    """Return the content of a regular file; errors are those of `open_file`."""
    with open_file(path) as stream:
        return stream.read()


def read_text(path: Path, errors: str = "strict") -> str:
    """Return the text of a regular file in UTF-8, with plain line ends.

    Raises:
        UnicodeDecodeError: When it is no such text and `errors` is "strict".
        OSError: As `open_file`.
    """
    with io.TextIOWrapper(open_file(path), encoding="utf-8", errors=errors) as stream:
        return stream.read()


def open_private(path: Path) -> IO[bytes]:
    """Open a regular file to append to it, unbuffered; a new one is its owner's alone.

    Raises:
        OSError: As `open_file`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return io.FileIO(path, "ab", opener=lambda *_: _open(path, flags))


def append(stream: IO[bytes], data: bytes) -> None:
    """Write all of `data` to what `open_private` returns: one write may take a part, and no error.

    Raises:
        OSError: With the file's name, when it cannot be written.
    """
    from orchestrator.worker.buffers import write_all  # every command reads, and few append

    with naming(stream.name):
        write_all(stream.fileno(), memoryview(data))


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Give an error of the system in the body, which may name no file, the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _open(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that no one reads
            raise _refused(path, 0) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _refused(path, mode)
    return descriptor


def _refused(path: Path, mode: int) -> OSError:
    if stat.S_ISDIR(mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return OSError(errno.ENXIO, NOT_A_FILE, str(path))
