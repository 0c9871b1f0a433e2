"""What every path that a user has given is checked for before it is used."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import UsageError


def given_path(given: str | os.PathLike[str], where: str) -> Path:
    """Return a path, unless it is empty: `pathlib` takes that for the working directory.

    Args:
        given: The path as it was given.
        where: The option, input or line that holds it.

    Raises:
        UsageError: When it is empty.
    """
    if not os.fspath(given):
        raise UsageError("the path is empty", where=where, fix="name a file or a directory")
    return Path(given)
