"""Paths as users give them: never empty, and with a page of a document where they name one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.errors import UsageError

_PAGES = re.compile(
    r"(?P<path>.+)#page=(?P<first>[1-9][0-9]*)(?P<more>-(?P<last>[1-9][0-9]*)?)?", re.DOTALL
)


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


def is_inside(name: str) -> bool:
    """Return whether a name from elsewhere (with `/`) stays below the directory it is joined to."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def working_directory() -> Path:
    """Return the working directory.

    Raises:
        UsageError: When it was removed, or may not be read.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be used ({error.strerror})",
            fix="go to another one, for instance with: cd",
        ) from error


def page_in(path: Path) -> tuple[Path, int | None]:
    """Return the file and the page, counted from 1, that `doc.pdf#page=3` names.

    A file that has such a name itself is that file.
    """
    file, first, last = pages_in(path)
    return (file, first) if first == last else (path, None)


def pages_in(path: Path) -> tuple[Path, int | None, int | None]:
    """Return the file, its first and its last page that `doc.pdf#page=3-5` names.

    Both are None where it names no page, and the last one is where it is left open
    (`doc.pdf#page=3-`). A file that has such a name itself is that file.
    """
    match = _PAGES.fullmatch(str(path))
    if match is None or path.exists():
        return path, None, None
    first, last = int(match["first"]), match["last"]
    if not match["more"]:
        return Path(match["path"]), first, first
    return Path(match["path"]), first, int(last) if last else None
