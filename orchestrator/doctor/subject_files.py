"""A model's files as the doctor reads them: plain files alone, and within limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.doctor.rules.safetensors import Damaged, read_header
from orchestrator.doctor.rules.subject import MAX_TEXT, Weights
from orchestrator.doctor.rules.weight_rules import INDEXES, MAX_INDEX, PICKLED, POINTER, SUFFIX
from orchestrator.errors import UsageError
from orchestrator.system.files import open_file

MAX_FILES = 200_000
"""Files of a directory that are listed."""


def list_files(directory: Path) -> dict[str, Path]:
    """Return the files below a directory by name, hidden ones left aside.

    Links to directories are not followed, so that no circle of them is walked.

    Raises:
        UsageError: When there are so many that it cannot be a model's directory.
    """
    found: dict[str, Path] = {}
    for base, folders, files in os.walk(directory):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        below = Path(base).relative_to(directory).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for file in files:
            if not file.startswith("."):
                found[prefix + file] = Path(base, file)
        if len(found) > MAX_FILES:
            raise UsageError(
                f"holds more than {MAX_FILES} files",
                where=str(directory),
                fix="name the model's own directory",
            )
    return found


def read_limited(path: Path, limit: int = MAX_TEXT) -> bytes | None:
    """Return the content of a plain file, or None where it is none, too long or unreadable."""
    try:
        if not path.is_file() or path.stat().st_size > limit:
            return None
        with open_file(path) as stream:
            return stream.read(limit)
    except OSError:
        return None


def read_weights(files: Mapping[str, Path]) -> Weights:
    """Return what the headers and indexes of a model's files of weights say."""
    found = Weights(frozenset(files))
    for name, path in sorted(files.items()):
        if name.endswith((SUFFIX, *PICKLED)):
            _read_header(name, path, found)
        elif name.endswith(INDEXES) and (data := read_limited(path, MAX_INDEX)) is not None:
            found.indexes[name] = data
    return found


def _read_header(name: str, path: Path, found: Weights) -> None:
    if not path.is_file():
        found.damaged[name] = "is no file, or a link that leads nowhere"
        return
    try:
        with open_file(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < 1024 and POINTER.match(stream.read(1024)):
                found.pointers.append(name)
            elif name.endswith(SUFFIX):

                def read(offset: int, length: int) -> bytes:
                    stream.seek(offset)
                    return stream.read(length)

                found.headers[name] = read_header(size, read)
    except Damaged as error:
        found.damaged[name] = str(error)
    except OSError as error:
        found.damaged[name] = f"cannot be read ({error.strerror})"
