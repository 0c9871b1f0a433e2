"""What the machine refuses, as one sentence with the remedy: space, descriptors, memory, rights."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import MachineRefused, MMError, PathRefused
from orchestrator.worker.runner import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal(NamedTuple):
    """Why the machine refuses something, and what to do."""

    what: str
    fix: str


_SPACE = "free some space (mm env prune), or choose another disk"
_FILES = "close some programs, or raise the limit (ulimit -n)"
_PROCESSES = "close some programs, or raise the limit (ulimit -u)"
_PLACE = "choose another place, or change its permissions"
_AGAIN = "run the command again"

REFUSALS = {
    errno.ENOSPC: Refusal("the disk is full", _SPACE),
    errno.EDQUOT: Refusal("your quota on this disk is used up", _SPACE),
    errno.EFBIG: Refusal("the file would be larger than is allowed", "raise the limit (ulimit -f)"),
    errno.EMFILE: Refusal("too many files are open", _FILES),
    errno.ENFILE: Refusal("too many files are open on this machine", _FILES),
    errno.EAGAIN: Refusal("no more processes or threads can be started", _PROCESSES),
    errno.ENOMEM: Refusal("no memory is left", "close some programs, or stop workers (mm stop)"),
    errno.EROFS: Refusal("the file system is read-only", "choose another place"),
    errno.EACCES: Refusal("permission denied", _PLACE),
    errno.EPERM: Refusal("operation not permitted", _PLACE),
    errno.ENAMETOOLONG: Refusal("the name is too long", "choose a shorter one"),
    errno.ELOOP: Refusal("its symbolic links form a loop", "remove the loop"),
    errno.EIO: Refusal("input/output error", "check the disk"),
    errno.ESTALE: Refusal("the file server no longer knows it", _AGAIN),
    errno.ENOENT: Refusal("no such file or directory", _AGAIN),
    errno.ENOTDIR: Refusal("not a directory", "check the path"),
    errno.EISDIR: Refusal("is a directory", "check the path"),
    errno.ENOTEMPTY: Refusal("the directory is not empty", _AGAIN),
    errno.EEXIST: Refusal("is there already", _AGAIN),
    errno.ESRCH: Refusal("this user has no home directory", "write the path in full"),
    errno.ENXIO: Refusal("not a regular file", "remove it, or name another"),
}
"""By error number."""

_SAID = {
    "can't start new thread": errno.EAGAIN,
    "Symlink loop from": errno.ELOOP,  # before Python 3.13, and then the path in quotes
    "Could not determine home directory.": errno.ESRCH,
}
"""The numbers of what Python says where it raises a RuntimeError without one."""


def remedy(error: OSError, otherwise: str) -> str:
    """Return what to do about a failed write: `otherwise`, unless the place is not at fault.

    Args:
        error: What the system said.
        otherwise: What to do where another place would help.
    """
    blameless = error.errno in LIMITS or error.errno == errno.ENXIO
    return REFUSALS[error.errno].fix if blameless and error.errno else otherwise


def refusal(error: BaseException, where: str = "") -> MMError | None:
    """Return the error that says what the machine refused; None where `error` is something else.

    Args:
        error: What was raised.
        where: The path at fault, where the error does not name one.
    """
    numbered = _numbered(error)
    found = REFUSALS.get(numbered.errno or 0) if numbered is not None else None
    if numbered is None or found is None:
        return None
    named = numbered.filename2 or numbered.filename
    place = os.fsdecode(named) if isinstance(named, (str, bytes)) else where
    if numbered.errno in LIMITS or numbered.errno == errno.EAGAIN:
        return MachineRefused(found.what, where=place, fix=found.fix)
    if not place and numbered.errno != errno.ESRCH:
        return None  # the others mean nothing without a path
    return PathRefused(found.what, where=place, fix=found.fix)


def _numbered(error: BaseException) -> OSError | None:
    """Return the error that the system would have given a number; None for any other."""
    if isinstance(error, OSError):
        return error
    said, _, path = str(error).partition(" '")
    if isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, said)
    if not isinstance(error, RuntimeError) or said not in _SAID:
        return None
    return OSError(_SAID[said], said, path.removesuffix("'") or None)


@contextmanager
def refusals(where: str = "") -> Iterator[None]:
    """Raise what the machine refuses in the body as an error with a sentence.

    Args:
        where: As for `refusal`.

    Raises:
        MachineRefused, PathRefused: For what the machine refuses; other errors pass.
    """
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        known = refusal(error, where)
        if known is None:
            raise
        raise known from error
