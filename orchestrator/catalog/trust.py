"""What exactly is trusted when a directory of manifests is: one digest over everything in it.

The runners in the `envs/` beside it are programs, so they are part of it. A link could lead to a
file that changes unseen; a tree with links cannot be trusted.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.catalog.own_wheels import is_own_wheel
from orchestrator.catalog.runners import BYTECODE
from orchestrator.core.canonical import digest, digest_bytes
from orchestrator.errors import ManifestError
from orchestrator.system.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.catalog.directories import ManifestDirectory

MAX_FILES = 2000
"""Manifests, runners and locks are few; more files mean that this is something else."""

MAX_BYTES = 64 * 1024 * 1024
"""The same, for their size; every command in a trusted directory reads all of it."""


class Contents(msgspec.Struct, frozen=True):
    """What a directory of manifests and the `envs/` beside it hold.

    Attributes:
        files: The SHA-256 of each, by its path relative to the directory above both, sorted.
        digest: SHA-256 over the paths and contents of all of them, in hexadecimal.
    """

    files: dict[str, str]
    digest: str


def inspect_tree(directory: ManifestDirectory, user: int | None = None) -> Contents:
    """Return what `directory` and the `envs/` beside it hold now.

    Not what is in a `__pycache__`: runners are executed from their texts, and bytecode comes and
    goes with whatever else imports them. Of wheels the names alone: what is installed has the hash
    in the lock, which the installer checks.

    Args:
        directory: The manifests.
        user: The uid that they must belong to, by default that of this process.

    Raises:
        ManifestError: When it cannot be trusted: it belongs to another user, holds a link, is too
            large, or cannot be read.
    """
    root = directory.path.parent
    entries: list[tuple[str, str]] = []
    room = MAX_BYTES
    try:
        for path in _files(directory, user):
            data = b"" if is_own_wheel(path, directory.environments) else read_file(path)
            entries.append((path.relative_to(root).as_posix(), digest_bytes(data)))
            room -= len(data)
            if len(entries) > MAX_FILES or room < 0:
                raise ManifestError(
                    f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB here and in the "
                    f"{directory.environments.name}/ beside it",
                    where=str(directory.path),
                    fix="keep manifests, runners and locks apart from other files",
                )
    except OSError as error:
        raise ManifestError(
            f"cannot be read ({error.strerror})", where=str(error.filename)
        ) from error
    entries.sort()
    return Contents(dict(entries), digest(entries))


def tree(directory: ManifestDirectory) -> Iterator[Path]:
    """Yield the paths whose changes may end the trust in `directory`: its folders and files."""
    for root in (directory.path, directory.environments):
        for base, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name != BYTECODE]
            yield Path(base)
            yield from (Path(base, name) for name in files)


def _files(directory: ManifestDirectory, user: int | None) -> Iterator[Path]:
    for root in (directory.path, directory.environments):
        if root.is_dir() or root.is_symlink():
            _check_owner(root, user)
            yield from _below(root)


def _below(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            if path.name != BYTECODE:
                yield from _below(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            kind = "a link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
            raise ManifestError(f"{kind}, which cannot be trusted", where=str(path))


def _check_owner(path: Path, user: int | None) -> None:
    if path.is_symlink():
        raise ManifestError("a link, which cannot be trusted", where=str(path))
    if not belongs_to(path, user):
        raise ManifestError("belongs to another user", where=str(path))


def belongs_to(path: Path, user: int | None) -> bool:
    """Say whether `path` belongs to the uid `user`, by default that of this process."""
    return path.lstat().st_uid == (os.geteuid() if user is None else user)
