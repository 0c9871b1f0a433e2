"""Files that the user names as inputs: looked at before a model is loaded for them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import FILE_TYPES, PATH_TYPES, Takes
from orchestrator.core.paths import pages_in
from orchestrator.errors import UsageError
from orchestrator.system.hashing import sha256_of
from orchestrator.worker.encoding import encode_array

HASHED = 1 << 16
"""Bytes of the largest array whose digest is in a receipt."""


def resolve_files(manifest: Takes, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with every path of an input made absolute, after a look at the file.

    Raises:
        UsageError: When a file is missing, empty, no regular file, or may not be read.
    """
    resolved = {}
    for name, value in values.items():
        kind = manifest.inputs[name].type
        resolved[name] = _resolve(name, value, kind) if kind in FILE_TYPES else value
    return resolved


def _resolve(name: str, value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_resolve(name, item, kind) for item in value]
    path = Path(value).expanduser()
    given = f"the input {name!r}"  # an option, a keyword, or a key of a line
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(
                "is a directory, and a file is wanted",
                where=str(path),
                fix=f"name one file as {given}",
            )
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(
                "is not a regular file",
                where=str(path),
                fix=f"save it first, then name it as {given}",
            )
        if found.st_size == 0:
            raise UsageError("the file is empty", where=str(path), fix=f"name another as {given}")
        if is_pdf(path) and kind == "image":
            raise _pages_wanted(path, given)
    except FileNotFoundError:
        if file_named(str(path), Path()).exists():
            raise _pages_wanted(path, given) from None
        raise UsageError("there is no such file", where=str(path), fix=f"check {given}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"cannot be read ({reason})", where=str(path), fix="check its permissions"
        ) from error
    return path.absolute()


def _pages_wanted(path: Path, given: str) -> UsageError:
    return UsageError(
        f"is a PDF file, and {given} is one image or file",
        where=str(path),
        fix="run `mm run` or `mm batch`, which draw its pages, or a pipeline with split-pages",
        fix_in_code="use orchestrator.Pipeline, with a step split-pages",
    )


def is_pdf(path: Path) -> bool:
    """Return whether the file begins as a PDF does (within the first KiB, as readers accept)."""
    with path.open("rb") as stream:
        return b"%PDF-" in stream.read(1024)


def named_files(manifest: Takes, given: Mapping[str, Any], cwd: Path) -> Iterator[Path]:
    """Yield the files that inputs name, as they were given: paths, or lists of paths."""
    for name, value in given.items():
        declared = manifest.inputs.get(name)
        if declared is not None and declared.type in PATH_TYPES:
            words = value if isinstance(value, (list, tuple)) else [value]
            yield from (file_named(word, cwd) for word in words if isinstance(word, str))


def file_named(word: str, cwd: Path) -> Path:
    """Return the file that the user names; of `doc.pdf#page=3`, the document."""
    path = cwd / Path(word).expanduser()
    return pages_in(path)[0] if "#page=" in word else path


def refuse_input(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write where an input is, under whatever name: what is read would be lost.

    Args:
        out: The file that is to be written.
        inputs: The files that are to be read.

    Raises:
        UsageError: When `out` is one of them.
    """
    with suppress(OSError, ValueError):  # it is not there, so that it is no input
        there = out.stat()
        if not stat.S_ISREG(there.st_mode):
            return
        for path in inputs:
            with suppress(OSError, ValueError):
                if os.path.samestat(there, path.stat()):
                    raise UsageError(
                        "is one of the inputs", where=str(out), fix="choose another -o"
                    )


def describe_inputs(manifest: Takes, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a receipt says of the inputs: values, and for files their digest and size.

    Raises:
        UsageError: When an array is none.
    """
    described = {}
    for name, value in values.items():
        declared = manifest.inputs[name]
        kind = declared.type
        if kind not in PATH_TYPES:
            described[name] = value
        elif declared.list:
            described[name] = [_describe(name, kind, item) for item in value]
        else:
            described[name] = _describe(name, kind, value)
    return described


def _describe(name: str, kind: str, value: Any) -> Any:
    if kind in FILE_TYPES:
        return {"sha256": sha256_of(Path(value)), "size": Path(value).stat().st_size}
    try:
        return _describe_array(value)
    except TypeError as error:
        raise UsageError(f"input {name!r} is {error}") from error


def _describe_array(value: Any) -> dict[str, Any]:
    """Describe an array; one of more than `HASHED` bytes without its digest.

    Taking the digest would cost more time than sending it.
    """
    if getattr(value, "nbytes", 0) > HASHED:
        kind = getattr(value, "dtype", None) or getattr(value, "format", "")
        return {"dtype": str(kind), "shape": list(value.shape)}
    parts: list[memoryview] = []
    wire = encode_array(value, parts)
    digest = hashlib.sha256(parts[0]).hexdigest()
    return {"dtype": wire["dtype"], "shape": wire["shape"], "sha256": digest}
