"""The directories that may hold manifests, in the order in which they win.

Only looks for them; what is inside is read by `orchestrator.catalog.catalog`.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from orchestrator.errors import ManifestError

DIRECTORY = "manifests"
ENVIRONMENTS = "envs"
LOCK = "requirements.lock"
VARIABLE = "MM_MANIFESTS"
SUFFIX = ".yaml"


class Origin(enum.Enum):
    """How a directory of manifests was found."""

    OPTION = "--manifests"
    VARIABLE = "MM_MANIFESTS"
    FOUND = "above the working directory"
    USER = "your own"
    BUILT_IN = "built in"


class ManifestDirectory(msgspec.Struct, frozen=True):
    """A directory of manifests, by its real path."""

    path: Path
    origin: Origin

    @property
    def environments(self) -> Path:
        """Where the runners and locks of its models are."""
        return self.path.parent / ENVIRONMENTS


def builtin_directory() -> Path:
    """Return the manifests that come with `mm`: a wheel's own, or those of the checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "builtin" / DIRECTORY
    return shipped if shipped.is_dir() else package.parent / DIRECTORY


def user_directory(variables: Mapping[str, str]) -> Path:
    """Return the user's own manifests: `manifests/` in `$XDG_CONFIG_HOME/mm`, or `~/.config/mm`.

    The same on macOS, as command line tools have it there, and for a reason: in the platform's
    own directory settings and data would lie together, and runners beside built environments.
    """
    configured = variables.get("XDG_CONFIG_HOME", "")
    if configured.startswith("/"):  # the specification has relative paths ignored
        return Path(configured, "mm", DIRECTORY)
    home = variables.get("HOME")
    return Path(home or Path("~").expanduser(), ".config", "mm", DIRECTORY)


def given_directories(
    options: Sequence[Path], variables: Mapping[str, str], cwd: Path
) -> Iterator[tuple[Path, Origin]]:
    """Yield what `--manifests` and `MM_MANIFESTS` name, in order, whether it exists or not."""
    for option in options:
        yield cwd / option.expanduser(), Origin.OPTION
    for entry in variables.get(VARIABLE, "").split(os.pathsep):
        if entry:
            yield cwd / Path(entry).expanduser(), Origin.VARIABLE


def find_above(cwd: Path) -> Path | None:
    """Return the first `manifests/` with a YAML file in it, in `cwd` or above."""
    for directory in (cwd, *cwd.parents):
        candidate = directory / DIRECTORY
        try:
            with os.scandir(candidate) as entries:
                if any(entry.name.endswith(SUFFIX) for entry in entries):
                    return candidate
        except OSError:
            continue
    return None


def search(
    options: Sequence[Path], variables: Mapping[str, str], cwd: Path, builtin: Path
) -> list[tuple[Path, Origin]]:
    """Return where manifests may be, first what wins, whether it exists or not.

    Raises:
        ManifestError: For a directory that `--manifests` names and that is none.
    """
    reached: list[tuple[Path, Origin]] = []
    for path, origin in given_directories(options, variables, cwd):
        if origin is Origin.OPTION:
            _check_option(path)
        reached.append((path, origin))
    users = user_directory(variables)
    if (found := find_above(cwd)) and not _is_one_of(found, (users, builtin)):
        reached.append((found, Origin.FOUND))
    return [*reached, (users, Origin.USER), (builtin, Origin.BUILT_IN)]


def existing(reached: Iterable[tuple[Path, Origin]], builtin: Path) -> list[ManifestDirectory]:
    """Return the directories that exist, by their real paths, each once."""
    directories: dict[Path, ManifestDirectory] = {}
    for path, origin in reached:
        if path.is_dir():
            real = path.resolve()
            own = Origin.BUILT_IN if _is_one_of(real, (builtin,)) else origin
            directories.setdefault(real, ManifestDirectory(real, own))
    return list(directories.values())


def missing_variables(variables: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return the entries of `MM_MANIFESTS` that are no directories."""
    return [path for path, _ in given_directories((), variables, cwd) if not path.is_dir()]


def _check_option(path: Path) -> None:
    if not path.is_dir():
        what = "not a directory" if path.exists() else "no such directory"
        raise ManifestError(what, where=str(path))
    inner = path / DIRECTORY
    if inner.is_dir() and not any(path.glob(f"*{SUFFIX}")):
        raise ManifestError(
            "no manifest in it",
            where=str(path),
            fix=f"write --manifests {inner}",
            fix_in_code=f"pass {str(inner)!r}",
        )


def _is_one_of(path: Path, others: Iterable[Path]) -> bool:
    return any(other.is_dir() and path.samefile(other) for other in others)
