"""A runner: one file, or a folder that is imported as a package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from orchestrator.core.canonical import digest, digest_bytes
from orchestrator.errors import ManifestError
from orchestrator.system.files import read_text

BYTECODE = "__pycache__"
"""The folders of compiled files; they are no part of anything that we read."""

MAX_CHARACTERS = 4 * 1024 * 1024
"""Of all files of a runner together: they travel in one message, of 16 MiB at most."""


def runner_path(env_directory: Path) -> Path:
    """Return the runner in a folder under `envs/`: `runner/` if it exists, else `runner.py`."""
    folder = env_directory / "runner"
    return folder if folder.is_dir() else env_directory / "runner.py"


def read_runner(env_directory: Path) -> dict[str, str]:
    """Return the texts of the runner's files by their paths, the one that is executed first.

    Raises:
        ManifestError: When one cannot be read, when there are both a file and a folder, when the
            folder has no `__init__.py`, when it holds what is no Python file and would not reach
            the worker, and when all of them are too large.
    """
    runner = runner_path(env_directory)
    if not runner.is_dir():
        return {str(runner): _read(runner)}
    single = env_directory / "runner.py"
    if single.exists():
        raise ManifestError("beside the folder runner/", where=str(single), fix="keep one of them")
    files = {str(path): _read(path) for path in _python_files(runner)}
    if sum(map(len, files.values())) > MAX_CHARACTERS:
        raise ManifestError(
            f"more than {MAX_CHARACTERS >> 20} MiB of code",
            where=str(runner),
            fix="make it smaller",
        )
    return files


def runner_digest(files: Mapping[str, str]) -> str:
    """Return the SHA-256 of a runner: of its text, or over the names and texts of its files.

    Where the folder lies changes nothing.
    """
    first, *others = files
    if not others:
        return digest_bytes(files[first].encode("utf-8"))
    folder = PurePath(first).parent
    return digest(
        {
            PurePath(path).relative_to(folder).as_posix(): digest_bytes(text.encode("utf-8"))
            for path, text in files.items()
        }
    )


def runner_files(env_directory: Path) -> list[Path]:
    """Return the paths of the runner's files, the one that is executed first.

    Raises:
        ManifestError: When the folder cannot be read, or holds what is no Python file.
    """
    runner = runner_path(env_directory)
    return _python_files(runner) if runner.is_dir() else [runner]


def runner_places(env_directory: Path) -> list[Path]:
    """Return what `runner_files` does, with the folders in which there may be more."""
    files = runner_files(env_directory)
    folders = {path.parent for path in files} - {env_directory}
    return [*files, *sorted(folders)]


def _python_files(folder: Path) -> list[Path]:
    paths = []
    for root, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if name != BYTECODE and not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if path.suffix == ".py":
                paths.append(path)
            elif not name.startswith("."):
                raise ManifestError(
                    "no Python file; a runner's folder holds nothing else",
                    where=str(path),
                    fix="move it out of the folder, or make it a constant of a .py file",
                )
    first = folder / "__init__.py"
    return [first, *sorted(path for path in paths if path != first)]


def _cannot_list(error: OSError) -> None:
    raise ManifestError(f"cannot be read ({error.strerror})", where=str(error.filename)) from error


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        fix = "write it beside requirements.lock"
        if path.parent.name == "runner":
            fix = "add it, with load and run" if path.name == "__init__.py" else "correct it"
        what = f"the runner cannot be read ({reason})"
        raise ManifestError(what, where=str(path), fix=fix) from error


def wrapped(files: Mapping[str, str], text: str, **words: object) -> dict[str, str]:
    """Return a runner around another one, which becomes a module of it.

    Args:
        files: The texts of the other by path, the one that is executed first.
        text: That of the new one, to be formatted; `{name}` stands for the module.
        words: What else is in it.
    """
    first = Path(next(iter(files)))
    module = first.parent if first.name == "__init__.py" else first
    return {str(module.parent / "__init__.py"): text.format(name=module.stem, **words), **files}
