"""What is built, what it takes on the disk, and removing it; never what is in use.

uv's cache holds a link to most files of an environment, or a clone on macOS, so removing one frees
only what nothing else links to or shares.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.backends.tool_failures import system_failure
from orchestrator.errors import EnvironmentFailure
from orchestrator.worker import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from orchestrator.catalog import Declared
    from orchestrator.client.runtime import WorkerRecord
    from orchestrator.environments.service import Environments
    from orchestrator.environments.store import Store, Stored
    from orchestrator.system.darwin import Clone

BLOCK = 512
"""Bytes of the unit of `st_blocks` (POSIX leaves it to the system; Linux and macOS use this)."""


def clone_of(path: str) -> Clone | None:
    """Return what a file shares with its clones; None on systems that clone none (APFS does)."""
    if capabilities.PROCESS_FILES:
        return None
    from orchestrator.system import darwin  # its imports cost every command

    return darwin.clone(path)


@dataclass(frozen=True)
class Size:
    """Bytes on disk.

    Attributes:
        total: Of every file, each once.
        freed: Of those to which no link leads from elsewhere: what removing them gives back.
    """

    total: int
    freed: int


class _File(NamedTuple):
    elsewhere: int
    """Links to it that were not counted."""
    size: int
    private: int
    """Bytes of it that no clone shares."""


class Usage:
    """Counts the files of directories, each once.

    Args:
        clone: Returns what a file shares with its clones; None where its file system has none.
    """

    def __init__(self, clone: Callable[[str], Clone | None] = clone_of) -> None:
        self._files: dict[tuple[int, int], _File] = {}
        self._clone = clone

    def add(self, directory: Path) -> Size:
        """Count the files of one directory and return its own size."""
        alone: dict[tuple[int, int], _File] = {}
        for path, status in _files(directory):
            clone = self._clone(path)
            key = (status.st_dev, clone.stream if clone else status.st_ino)
            size = status.st_blocks * BLOCK
            for counts in (alone, self._files):
                elsewhere = counts[key].elsewhere if key in counts else status.st_nlink
                counts[key] = _File(elsewhere - 1, size, clone.private if clone else size)
        return _size(alone)

    @property
    def size(self) -> Size:
        """The size of all directories together."""
        return _size(self._files)


def _size(files: dict[tuple[int, int], _File]) -> Size:
    return Size(
        total=sum(file.size for file in files.values()),
        freed=sum(file.private for file in files.values() if file.elsewhere <= 0),
    )


def size_of(*directories: Path) -> Size:
    """Return the size of directories together; nothing where they do not exist."""
    usage = Usage()
    for directory in directories:
        usage.add(directory)
    return usage.size


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    pending = [str(directory)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = list(entries)
        except OSError:
            # An environment may be removed while it is counted.
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
            except OSError:
                continue


@dataclass(frozen=True)
class Row:
    """One environment, or one model without any.

    Attributes:
        models: The models that resolve to it now.
        state: `ready`, `not built`, `unused`, `incomplete`, or what is wrong with the lock.
        path: Its directory, where it has one.
        python: The full version of its interpreter.
        size: Bytes of its files, each once.
        freed: Bytes that removing it alone would give back.
        last_used: When, in ISO 8601 and UTC; empty where it never was.
        mine: Whether the lock is the user's own.
        digest: Its digest.
    """

    models: tuple[str, ...]
    state: str
    path: Path | None = None
    python: str = ""
    size: int = 0
    freed: int = 0
    last_used: str = ""
    mine: bool = False
    digest: str = ""


@dataclass(frozen=True)
class Inventory:
    """All rows, and what they take together with every file counted once."""

    rows: tuple[Row, ...]
    total: int


def take_inventory(environments: Environments, models: Iterable[Declared]) -> Inventory:
    """Return every environment on disk and every model of `models`."""
    users: dict[str, list[str]] = {}
    mine: set[str] = set()
    without: list[Row] = []
    for declared in models:
        name = declared.name
        try:
            target = environments.target(declared)
        except EnvironmentFailure as error:
            without.append(Row((name,), error.what))
            continue
        if target.mine:
            mine.add(target.digest)
        if environments.store.find(target.digest) is not None:
            users.setdefault(target.digest, []).append(name)
            continue
        python = target.interpreter.version
        row = Row((name,), "not built", python=python, mine=target.mine, digest=target.digest)
        without.append(row)
    usage = Usage()
    built = []
    for stored in environments.store.all():
        size, marker = usage.add(stored.path), stored.marker
        if marker is None:
            row = Row((), "incomplete", stored.path, size=size.total, freed=size.freed)
        else:
            names = tuple(users.get(marker.digest, ()))
            used = environments.store.last_used(marker.digest)
            row = Row(
                models=names or (marker.model,),
                state="ready" if names else "unused",
                path=stored.path,
                python=marker.python_version,
                size=size.total,
                freed=size.freed,
                last_used=_iso(used) if used is not None else "",
                mine=marker.digest in mine,
                digest=marker.digest,
            )
        built.append(row)
    return Inventory((*built, *without), usage.size.total)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="seconds")


def workers_using(digest: str, records: Iterable[WorkerRecord]) -> str:
    """Return which workers use the environment `digest`, in words, from their records."""
    workers = [
        f"the worker of {record.model} (supervisor {record.supervisor})"
        for record in records
        if record.environment.startswith(digest)
    ]
    return " and ".join(workers) or "a process that has no worker's record"


def remove(store: Store, stored: Stored) -> None:
    """Remove one environment.

    Raises:
        EnvironmentFailure: When it is used or being built, or it cannot be removed.
    """
    building = store.try_build_lock(stored.digest)
    if building is None:
        raise EnvironmentFailure(
            "the environment is just being built", where=str(stored.path), fix="wait for it"
        )
    with building:
        try:
            if stored.path.exists():
                store.remove(stored)
        except OSError as error:
            subject = "the environment could not be removed"
            raise system_failure(error, subject=subject, command="mm env prune") from error


def unneeded(store: Store, needed: Iterable[str], unknown: Iterable[str] = ()) -> list[Stored]:
    """Return the environments that are incomplete or that no model needs.

    Args:
        store: The environments.
        needed: The digests that models need.
        unknown: Models whose need is unknown; what was built for them stays.
    """
    keep, models = set(needed), set(unknown)
    return [
        stored
        for stored in store.all()
        if stored.marker is None
        or (stored.marker.digest not in keep and stored.marker.model not in models)
    ]


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, why it left the rest, and the bytes that it gave back."""

    removed: tuple[Path, ...]
    left: tuple[str, ...]
    freed: int


def prune(store: Store, unneeded: Sequence[Stored]) -> Pruned:
    """Remove the environments `unneeded`, except those that are used or being built."""
    freed = size_of(*(stored.path for stored in unneeded)).freed
    removed: list[Path] = []
    left: list[str] = []
    for stored in unneeded:
        problem = _try_remove(store, stored)
        if problem is None:
            removed.append(stored.path)
        else:
            left.append(problem)
    if left:
        freed -= size_of(*(stored.path for stored in unneeded if stored.path.exists())).freed
    return Pruned(tuple(removed), tuple(left), max(freed, 0))


def _try_remove(store: Store, stored: Stored) -> str | None:
    try:
        remove(store, stored)
    except EnvironmentFailure as error:
        return str(error)
    return None
