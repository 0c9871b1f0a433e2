"""The files of a directory of manifests: which they are, how they are read and named."""

from __future__ import annotations

from pathlib import Path

from orchestrator.catalog.directories import SUFFIX
from orchestrator.core.names import MAX_BYTES
from orchestrator.errors import ManifestError
from orchestrator.system.files import open_file


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
