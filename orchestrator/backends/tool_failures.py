"""The known failures of installers and resolvers: a sentence and the next command for each.

The tool's own words are always shown in full beneath.
"""

from __future__ import annotations

import errno
import re
from functools import cache
from importlib.resources import files

import msgspec

from orchestrator.core.refusals import remedy
from orchestrator.core.yaml_document import parse
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.processes import ProcessError


class ToolFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failure by what the tool says, as `tool_failures.yaml` has it and describes its fields."""

    says: tuple[str, ...]
    what: str
    fix: str
    transient: bool = True
    missing: bool = False


@cache
def _table() -> dict[str, ToolFailure]:
    data = files("orchestrator.backends").joinpath("tool_failures.yaml").read_bytes()
    return msgspec.convert(parse(data, "tool_failures.yaml").data, dict[str, ToolFailure])


def is_transient(error: ProcessError) -> bool:
    """Return whether the machine or the network is at fault, and not what was asked for."""
    known = _known(error)
    return known is not None and known.transient


def _known(error: ProcessError) -> ToolFailure | None:
    for known in _table().values():
        if any(re.search(words, error.detail, re.IGNORECASE) for words in known.says):
            return known
    return None


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
        known = _table()["offline"]
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
        full = _table()["disk-full"]
        cause, fix = full.what, full.fix.format(command=command, name="")
    place = where or str(error.filename or "")
    return EnvironmentFailure(f"{subject}: {cause}", where=place, fix=fix)
