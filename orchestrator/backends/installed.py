"""What is installed in an environment, read from its `*.dist-info` directories.

No process, and no trust in an installer's own idea of what belongs together. `importlib.metadata`
would do for names and versions, but it leaves files that are missing out of its lists, which are
those that a check looks for.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import normal_name
from orchestrator.system.files import open_file, read_file, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """One installed package."""

    name: str
    version: str
    metadata: Path

    @property
    def record(self) -> Path:
        """The list of its files with their hashes."""
        return self.metadata / "RECORD"


@dataclass(frozen=True)
class RecordedFile:
    """One line of a RECORD: a file, and its SHA-256 (urlsafe base64) where one was recorded."""

    path: Path
    sha256: str
    size: int | None


def site_packages(directory: Path) -> Path | None:
    """Return the environment's `site-packages`, or None where it has none."""
    return next(iter(sorted(directory.glob("lib/*/site-packages"))), None)


def installed(directory: Path) -> dict[str, Installed]:
    """Return the packages of the environment at `directory` by normalised name."""
    packages = site_packages(directory)
    if packages is None:
        return {}
    found: dict[str, Installed] = {}
    for path in sorted(packages.glob("*.dist-info")):
        metadata = _metadata(path)
        name = normal_name(metadata.get("Name", "").strip())
        if name:
            found[name] = Installed(name, metadata.get("Version", "").strip(), path)
    return found


def difference(directory: Path, packages: Mapping[str, str]) -> str | None:
    """Return in words how what is installed differs from `packages`, or None."""
    there = {name: package.version for name, package in installed(directory).items()}
    problems = [
        *(f"{name} is missing" for name in sorted(packages.keys() - there.keys())),
        *(f"{name} was not asked for" for name in sorted(there.keys() - packages.keys())),
        *(
            f"{name} is {there[name]} and not {version}"
            for name, version in sorted(packages.items())
            if name in there and there[name] != version
        ),
    ]
    return "; ".join(problems) or None


def recorded_files(package: Installed) -> Iterator[RecordedFile]:
    """Yield the files of an installed package, as its RECORD names them.

    Raises:
        OSError: When the RECORD cannot be read.
        UnicodeDecodeError: When it is not text.
    """
    root = package.metadata.parent
    with io.TextIOWrapper(open_file(package.record), encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            if not row or not row[0]:
                continue
            name, digest, size = (*row, "", "")[:3]
            yield RecordedFile(
                path=root / name,
                sha256=digest.removeprefix("sha256=") if digest.startswith("sha256=") else "",
                size=int(size) if size.isdigit() else None,
            )


def record_digest(package: Installed) -> str:
    """Return the SHA-256 of a package's RECORD, or nothing where it cannot be read."""
    try:
        return hashlib.sha256(read_file(package.record)).hexdigest()
    except OSError:
        return ""


def _metadata(directory: Path) -> Message:
    """Return the head of a package's METADATA; an empty one where it cannot be read."""
    try:
        text = read_text(directory / "METADATA", "replace")
    except OSError:
        text = ""
    return HeaderParser().parsestr(text)
