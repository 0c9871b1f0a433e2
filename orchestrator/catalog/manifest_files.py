"""The files of a directory of manifests: which they are, how they are read and named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.catalog.directories import DIRECTORY, ENVIRONMENTS, LOCK, SUFFIX
from orchestrator.catalog.own_wheels import WHEELS, lost_wheels
from orchestrator.catalog.runners import read_runner, runner_path
from orchestrator.core.lockfile import LockError, parse_lock
from orchestrator.core.manifest_reader import examine, read_manifest
from orchestrator.core.yaml_document import MAX_BYTES
from orchestrator.errors import ManifestError
from orchestrator.system.files import open_file, read_text

if TYPE_CHECKING:
    from orchestrator.core.manifest import Manifest


def manifest_files(directory: Path) -> list[Path]:
    """Return the files that are manifests or are meant to be, sorted; `x.yaml` before `x.yml`.

    Raises:
        ManifestError: When the directory cannot be read.
    """
    try:
        files = sorted(directory.iterdir())
    except OSError as error:
        raise ManifestError(f"cannot be read ({error.strerror})", where=str(directory)) from error
    return [
        file
        for file in files
        if file.name.endswith((SUFFIX, ".yml")) and not file.name.startswith(".")
    ]


def names_in(directory: Path) -> set[str]:
    """Return the names of the models that the files in `directory` are named for."""
    return {file.stem for file in manifest_files(directory)} if directory.is_dir() else set()


def check_suffix(name: str, shown: str) -> None:
    """Refuse a file `x.yml`, which would otherwise be passed over in silence.

    Raises:
        ManifestError: When the file `name` does not end as manifests do.
    """
    if not name.endswith(SUFFIX):
        raise ManifestError(
            f"a manifest's name ends in {SUFFIX}",
            where=shown,
            fix=f"rename it to {Path(name).stem}{SUFFIX}",
        )


def read_plain(file: Path, shown: str) -> bytes:
    """Return the content of a plain file, or as much of it as shows that it is too large.

    Raises:
        ManifestError: When it is missing, unreadable, or a pipe or device, which would be waited
            for.
    """
    try:
        with open_file(file) as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ManifestError("no such file", where=shown) from error
    except OSError as error:
        raise ManifestError(f"cannot be read ({error.strerror})", where=shown) from error


def shown_path(path: Path, cwd: Path) -> str:
    """Return `path` as messages name it: relative where it is below the working directory."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


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
    from orchestrator.core.runner_check import runner_problems  # `ast` is for this alone

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
