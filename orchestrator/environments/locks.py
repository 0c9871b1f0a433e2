"""Reading the locks of models, and whether they still fit what the manifests say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.core.lockfile import Lock, LockError, parse_lock, shape_digest
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.environments.declared import Declared

BUILD_LOCK = "build.lock"
"""Beside the lock: the hashed requirements of building the packages in `environment.build`."""


def load_lock(declared: Declared, path: Path | None = None) -> Lock:
    """Return the lock of `declared`, checked against its manifest and against its own head.

    Args:
        declared: The model.
        path: A lock of the user's own to read instead of the committed one.

    Raises:
        EnvironmentFailure: When it is missing, damaged, edited, or no longer fits the manifest.
    """
    chosen = path or declared.lock
    name = declared.manifest.name
    mend = f"run: mm env lock {'--mine ' if path is not None else ''}{name}"
    lock = read_lock(chosen, mend=mend)
    if lock is None:
        raise EnvironmentFailure(f"{name} has no lock", where=str(chosen), fix=mend)
    if path is not None:
        mend = " ".join((mend, *lock.notes))
    if not lock.intact:
        raise EnvironmentFailure("the lock was edited by hand", where=str(chosen), fix=mend)
    if lock.shape != shape_digest(declared.manifest.environment):
        raise EnvironmentFailure(
            "the lock no longer fits its manifest", where=str(chosen), fix=mend
        )
    return lock


def load_build_lock(declared: Declared, lock: Path | None = None) -> tuple[Path, Lock] | None:
    """Return the locked build requirements of a model, or None where nothing is built.

    Args:
        declared: The model.
        lock: The lock that they belong to, when it is the user's own.

    Raises:
        EnvironmentFailure: As `load_lock`.
    """
    if not declared.manifest.environment.build:
        return None
    path = (lock or declared.lock).with_name(BUILD_LOCK)
    mend = f"run: mm env lock {declared.manifest.name}"
    found = read_lock(path, mend=mend)
    if found is None:
        raise EnvironmentFailure("the build requirements are not locked", where=str(path), fix=mend)
    if not found.intact or found.shape != shape_digest(declared.manifest.environment):
        raise EnvironmentFailure(
            "the lock of the build requirements was edited or no longer fits its manifest",
            where=str(path),
            fix=mend,
        )
    return path, found


def read_lock(path: Path, *, mend: str) -> Lock | None:
    """Return the lock at `path` as it is, or None where there is none.

    Raises:
        EnvironmentFailure: When it cannot be read as a lock; `mend` says what to do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise EnvironmentFailure("the lock is not text", where=str(path), fix=mend) from error
    except OSError as error:
        problem = f"the lock cannot be read ({error.strerror})"
        raise EnvironmentFailure(problem, where=str(path), fix=mend) from error
    try:
        return parse_lock(text)
    except LockError as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        raise EnvironmentFailure(f"the lock {error.problem}", where=where, fix=mend) from error
