"""The inputs of a batch's items, as its lines describe them.

A file counts by its content. Its size and the time of its last change are noted as well, so that a
file that has not been touched need not be read again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.paths import page_in
from orchestrator.pipelines.step_values import Value
from orchestrator.system.hashing import sha256_of

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest


@dataclass(frozen=True)
class InputFile:
    """A file that an input is read from, as it is now.

    Attributes:
        path: The file.
        page: The page of it that is the input, if any.
        size: Bytes; -1 where the file is gone.
        changed: When it was changed last, in nanoseconds since the epoch.
    """

    path: Path
    page: int | None
    size: int
    changed: int

    @classmethod
    def of(cls, named: str | Path) -> InputFile:
        """Return the file that `named`, which may name a page of it, stands for."""
        path, page = page_in(Path(named).expanduser())
        try:
            found = path.stat()
        except (OSError, ValueError):
            return cls(path, page, -1, 0)
        return cls(path, page, found.st_size, found.st_mtime_ns)

    def described(self, digest: str = "") -> dict[str, Any]:
        """Return what a line says of it.

        Args:
            digest: That of its content, where it is known already.
        """
        digest = digest or _digest(self.path, self.size, self.changed)
        shown = {"sha256": digest, "size": self.size, "changed": self.changed}
        return shown if self.page is None else {**shown, "page": self.page}

    def differs(self, before: Any) -> bool:
        """Return whether a line describes another; no for a file that is gone meanwhile."""
        if self.size < 0:
            return False
        if not isinstance(before, Mapping) or before.get("page") != self.page:
            return True
        if before.get("size") != self.size:
            return True
        if before.get("changed") == self.changed:
            return False
        return before.get("sha256") != _digest(self.path, self.size, self.changed)

    def __str__(self) -> str:
        """Return its path from here."""
        return os.path.relpath(self.path)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the digest of a file, for whose every page it may be asked; empty if unreadable."""
    del size, changed  # with others it is another file
    try:
        return sha256_of(path)
    except OSError:
        return ""


Sources = Mapping[str, InputFile | list[InputFile]]
"""The files that inputs are read from, by input."""


def sources_of(manifest: Manifest, given: Mapping[str, Any]) -> Sources:
    """Return the files that inputs are read from, by input.

    Args:
        manifest: The model's.
        given: As in `Item`.
    """
    found: dict[str, InputFile | list[InputFile]] = {}
    for name, value in given.items():
        declared = manifest.inputs.get(name)
        is_file = declared is not None and declared.type in FILE_TYPES
        if isinstance(value, Path) or (is_file and isinstance(value, str)):
            found[name] = InputFile.of(value)
        elif is_file and isinstance(value, list):
            found[name] = [InputFile.of(each) for each in value if isinstance(each, (str, Path))]
    return found


def described_inputs(
    sources: Sources,
    inputs: Mapping[str, Any],
    receipt: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a line says of an item's inputs: values, digests of long ones, files.

    Args:
        sources: The files, as they were before they were read.
        inputs: What the job was given.
        receipt: What its receipt says of that.
    """
    shown = {name: short_value(value) for name, value in receipt.items()}
    for name, source in sources.items():
        if isinstance(source, list):
            shown[name] = [each.described() for each in source]
        elif inputs.get(name) == source.path and isinstance(receipt.get(name), Mapping):
            shown[name] = source.described(receipt[name].get("sha256", ""))
        else:
            shown[name] = source.described()
    return shown


def short_value(value: Any) -> Any:
    """Return a value as a line describes it: itself, or its digest where it is long."""
    return Value("json", value).described()


def changed_files(sources: Sources, before: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files that are others than a line says.

    Args:
        sources: The files as they are.
        before: What `described_inputs` returned.
    """
    for name, source in sources.items():
        many = isinstance(source, list)
        now = source if isinstance(source, list) else [source]
        then = before.get(name) if many else [before.get(name)]
        if not isinstance(then, list) or len(then) != len(now):
            yield f"the input {name}"
        else:
            yield from (str(one) for one, old in zip(now, then, strict=True) if one.differs(old))
