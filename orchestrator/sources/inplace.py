"""A directory of the user's own patched in place, and put back.

The originals are kept inside it, links are never written through, and a file with other hard links
gets a content of its own.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.core.canonical import digest_bytes
from orchestrator.core.json_text import parse_record
from orchestrator.core.patching import Patched
from orchestrator.errors import SourceError
from orchestrator.sources.model_files import system_errors
from orchestrator.system.files import read_file
from orchestrator.system.home import write_atomically, write_json

STATE = ".mm-patch"
"""The folder, inside a patched directory, of its record and its originals."""

RECORD = "record.json"
ORIGINALS = "originals"


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """The SHA-256 of a file before and after it was patched."""

    before: str
    after: str


class PatchedDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a directory."""

    model: str
    files: dict[str, Edited]


def read_inside(directory: Path, name: str) -> bytes | None:
    """Return the content of a file below `directory`, or None where there is no such file."""
    path = directory / name
    with system_errors("cannot be read", path):
        return read_file(path) if path.exists() else None


def write_patched(directory: Path, model: str, patched: Patched) -> None:
    """Write the changed files of `patched` into `directory`, keeping their originals.

    Raises:
        SourceError: When a file is reached through a link, or cannot be written; then nothing is
            changed.
    """
    for name in patched.files:
        _refuse_links(directory, name)
    record = load(directory)
    known = dict(record.files) if record else {}
    originals: dict[str, bytes] = {}
    for name, data in patched.files.items():
        current = read_file(directory / name)
        sha256 = digest_bytes(current)
        kept = known.get(name)
        if kept is None or sha256 not in (kept.before, kept.after):
            originals[name] = current
            kept = Edited(before=sha256, after="")
        known[name] = Edited(before=kept.before, after=digest_bytes(data))
    with system_errors("cannot be written", directory):
        for name, data in originals.items():
            write_atomically(_original(directory, name), data)
        write_json(
            directory / STATE / RECORD,
            msgspec.to_builtins(PatchedDirectory(model=model, files=known)),
        )
        _write_all(directory, patched.files)


def revert(directory: Path) -> list[str]:
    """Put the originals back and return the names of the files that changed by it.

    Raises:
        SourceError: When the directory was not patched by `mm`, or a file was changed since; then
            nothing is changed.
    """
    record = load(directory)
    if record is None:
        raise SourceError("was not patched by mm", where=str(directory))
    back: dict[str, bytes] = {}
    for name, edited in record.files.items():
        _refuse_links(directory, name)
        current = read_inside(directory, name)
        sha256 = digest_bytes(current) if current is not None else ""
        if sha256 == edited.before:
            continue
        original = read_inside(directory / STATE / ORIGINALS, name)
        if original is None or digest_bytes(original) != edited.before:
            raise SourceError("the original is damaged", where=str(_original(directory, name)))
        if sha256 != edited.after:
            raise SourceError(
                "was changed after it was patched",
                where=str(directory / name),
                fix=f"its original is {_original(directory, name)}",
            )
        back[name] = original
    with system_errors("cannot be written", directory):
        _write_all(directory, back)
        shutil.rmtree(directory / STATE)
    return list(back)


def load(directory: Path) -> PatchedDirectory | None:
    """Return the record in a directory; None where there is none.

    Raises:
        SourceError: When it is damaged: the originals that it names may not be overwritten.
    """
    path = directory / STATE / RECORD
    try:
        return parse_record(read_file(path), PatchedDirectory)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SourceError(
            f"cannot be read ({error})", where=str(path), fix="look at the originals beside it"
        ) from error


def module_cache(variables: Mapping[str, str]) -> Path:
    """Return the folder of transformers' module cache, as the user's variables place it."""
    get = variables.get
    home = get("HOME") or "~"
    cache = get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = get("HF_HOME") or f"{cache}/huggingface"
    modules = Path(get("HF_MODULES_CACHE") or f"{hub}/modules")
    return modules.expanduser() / "transformers_modules"


def stale_copies(modules: Path, directory: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Return the copies of Python files that transformers made from `directory` and that differ.

    It caches a local directory under the directory's base name, changed in newer releases so that
    it is an identifier, and (given with a trailing slash) under no name at all.

    Args:
        modules: The folder `transformers_modules`.
        directory: The patched directory.
        files: What its Python files hold now, by name.
    """
    places = [modules, *(modules / each for each in sorted(spellings(directory.name)))]
    stale = []
    for file, data in files.items():
        base = file.rpartition("/")[2]
        for place in places:
            pattern = base if place == modules else f"**/{base}"
            stale += [path for path in place.glob(pattern) if read_file(path) != data]
    return sorted(set(stale))


def spellings(name: str) -> set[str]:
    """Return the folders under which releases of transformers cache a model called `name`."""
    clean = name.replace("-", "_hyphen_").replace(".", "_dot_")
    return {name, f"_{clean}" if clean[:1].isdigit() else clean, name.replace(".", "_")}


def clear(copies: Iterable[Path]) -> None:
    """Remove stale copies and what was compiled from them."""
    for path in copies:
        path.unlink(missing_ok=True)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)


def _refuse_links(directory: Path, name: str) -> None:
    path = directory
    for part in name.split("/"):
        path /= part
        if path.is_symlink():
            raise SourceError(
                f"is a link to {path.resolve()}, which others may share; nothing was changed",
                where=str(path),
                fix="copy the directory with its links followed (cp -RL), and patch the copy",
            )


def _original(directory: Path, name: str) -> Path:
    return directory / STATE / ORIGINALS / name


def _write_all(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write every file; when one fails, put those back that were written."""
    written: dict[Path, tuple[bytes, int]] = {}
    try:
        for name, data in files.items():
            path = directory / name
            before, mode = read_file(path), stat.S_IMODE(path.stat().st_mode)
            write_atomically(path, data, mode=mode)
            written[path] = (before, mode)
    except OSError:
        for path, (before, mode) in written.items():
            write_atomically(path, before, mode=mode)
        raise
