"""The known failures of installers and resolvers: a sentence and the next command for each.

The tool's own words are always shown in full beneath.
"""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from orchestrator.core.refusals import remedy
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.processes import ProcessError


class ToolFailure(NamedTuple):
    """A failure by what the tool says.

    Attributes:
        pattern: What it says.
        what: The cause.
        fix: What to do; `{name}` is the model, `{command}` what to run again.
        transient: Whether the machine or the network is at fault and not what was asked for.
        missing: Whether something was not found.
    """

    pattern: re.Pattern[str]
    what: str
    fix: str
    transient: bool = True
    missing: bool = False


_OFFLINE = ToolFailure(
    re.compile(r"network connectivity is disabled|--offline|in the offline mode", re.IGNORECASE),
    "a package is not in the cache, and nothing may be downloaded",
    "run it once without --offline: {command}",
)

_TABLE = (
    ToolFailure(
        re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE),
        "the disk is full",
        "free some space (mm env prune), or set MM_HOME to a larger disk; then run: {command}",
    ),
    ToolFailure(
        re.compile(
            r"hash mismatch|do not match the hashes|hashes? (?:is|are) required", re.IGNORECASE
        ),
        "a file does not have the hash that the lock names",
        "if the index is the right one, run: mm env lock {name}",
        transient=False,
    ),
    _OFFLINE,
    ToolFailure(
        re.compile(
            r"error sending request|failed to fetch|connection (?:refused|reset|error)|dns error|"
            r"timed? ?out|network is unreachable|connection broken|incompleteread|"
            r"error decoding response body|http status server error|server error|"
            r"newconnectionerror|failed to download",
            re.IGNORECASE,
        ),
        "the package index could not be reached",
        "what was downloaded is kept: run again: {command}",
    ),
    ToolFailure(
        re.compile(
            r"no solution found|no matching distribution|could not find a version|"
            r"no usable wheels|no wheels|was not found in the package registry|"
            r"building from source is disabled",
            re.IGNORECASE,
        ),
        "a wheel cannot be found",
        "see which platforms lack one: mm env lock --check {name}",
        transient=False,
        missing=True,
    ),
    ToolFailure(
        re.compile(r"permission denied|read-only file system", re.IGNORECASE),
        "a directory cannot be written",
        "set MM_HOME (and UV_CACHE_DIR) to directories of yours",
    ),
)


def is_transient(error: ProcessError) -> bool:
    """Return whether the machine or the network is at fault, and not what was asked for."""
    known = _known(error)
    return known is not None and known.transient


def _known(error: ProcessError) -> ToolFailure | None:
    return next((failure for failure in _TABLE if failure.pattern.search(error.detail)), None)


def tool_failure(
    error: ProcessError,
    *,
    subject: str,
    name: str,
    command: str,
    log: str = "",
    otherwise: str = "",
    offline: bool = False,
) -> EnvironmentFailure:
    """Return the error for a tool's failure.

    Args:
        error: What the tool said.
        subject: What could not be done, as in `the environment of rapidocr could not be built`.
        name: The model.
        command: What to run again.
        log: The file with all that the tool said.
        otherwise: What to do where neither the network nor the disk is at fault.
        offline: Whether nothing may be fetched; then what is not found is not in the cache.
    """
    known = _known(error)
    if offline and known is not None and known.missing:
        known = _OFFLINE
    if otherwise and (known is None or not known.transient):
        return EnvironmentFailure(subject, fix=otherwise, detail=error.detail)
    cause = known.what if known else error.what
    fix = known.fix.format(name=name, command=command) if known else f"then run: {command}"
    return EnvironmentFailure(
        f"{subject}: {cause}",
        fix=f"{fix} (log: {log})" if log else fix,
        detail=error.detail,
    )


def system_failure(
    error: OSError, *, subject: str, command: str, where: str = ""
) -> EnvironmentFailure:
    """Return the error for a failed system call."""
    cause = error.strerror or str(error)
    denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    place = "set MM_HOME to a directory of yours" if denied else ""
    fix = "; ".join(filter(None, (remedy(error, place), f"then run: {command}")))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = _TABLE[0].what
        fix = _TABLE[0].fix.format(command=command, name="")
    place = where or str(error.filename or "")
    return EnvironmentFailure(f"{subject}: {cause}", where=place, fix=fix)
