"""What is wrong with a manifest, its runner and its wheels, one by one: `mm manifest check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.catalog.directories import DIRECTORY, ENVIRONMENTS, LOCK, SUFFIX
from orchestrator.catalog.manifest_files import check_suffix, read_plain
from orchestrator.catalog.own_wheels import WHEELS, lost_wheels
from orchestrator.catalog.runners import read_runner, runner_path
from orchestrator.core.lockfile import LockError, parse_lock
from orchestrator.core.manifest_reader import examine, read_manifest
from orchestrator.core.runner_check import runner_problems
from orchestrator.errors import ManifestError
from orchestrator.system.files import read_text

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest


def check_file(path: Path, shown: str) -> list[ManifestError]:
    """Return every problem of the manifest in the file `path`, by itself."""
    try:
        data = read_plain(path, shown)
        check_suffix(path.name, shown)
    except ManifestError as error:
        return [error]
    return examine(data, file=shown, stem=path.name.removesuffix(SUFFIX))[1]


def check_wheels(path: Path, shown: str) -> list[ManifestError]:
    """Return the wheels that the lock of the manifest in the file `path`, which is sound, misses.

    A lock that is missing or damaged has no problem here: `mm env lock --check` looks at locks.
    """
    manifest, folder = _read_sound(path, shown)
    try:
        lock = parse_lock(read_text(folder / LOCK))
        lost = list(lost_wheels(folder / WHEELS, lock.wheels, manifest.name))
    except (OSError, UnicodeDecodeError, LockError):
        return []
    return [ManifestError(one.what, where=shown, fix=one.fix) for one in lost]


def _read_sound(path: Path, shown: str) -> tuple[Manifest, Path]:
    """Return a manifest without problems, and the folder of its environment."""
    manifest = read_manifest(
        read_plain(path, shown), file=shown, stem=path.name.removesuffix(SUFFIX)
    )
    return manifest, path.parent.parent / ENVIRONMENTS / manifest.env


def check_runner(path: Path, shown: str) -> list[ManifestError]:
    """Return every problem of the runner of the manifest in the file `path`, which is sound.

    A model that has no runner yet has no problem here.
    """
    manifest, folder = _read_sound(path, shown)
    prefix = shown.removesuffix(str(Path(DIRECTORY, path.name)))
    if not runner_path(folder).exists():
        return []
    try:
        files = read_runner(folder)
    except ManifestError as error:
        return [error]
    return [
        ManifestError(
            problem.what,
            where=problem.where.replace(str(path.parent.parent) + os.sep, prefix, 1),
            fix=problem.fix,
        )
        for problem in runner_problems(manifest, files)
    ]
