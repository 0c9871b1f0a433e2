"""The environments under `MM_HOME/envs`: where they are, which are whole, and who uses them.

An environment is whole when its marker is; the marker is written last. A damaged marker means that
the environment is built anew, never a traceback. Nothing here starts a process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import asdict

from orchestrator.core.canonical import short
from orchestrator.flock import Held, nap, try_lock, wait_lock
from orchestrator.home import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.home import Home

MARKER = "mm-environment.json"
MARKER_FORMAT = 1


class Marker(msgspec.Struct, frozen=True):
    """What was built, written when it was whole.

    Attributes:
        digest: The environment's digest.
        model: The model that it was built for first.
        directory: Where it was built; a moved environment is not whole.
        interpreter: Path of the base interpreter.
        implementation: `cpython`, `pypy`, …
        python_version: The full version of the interpreter.
        packages: Versions by normalised name.
        records: SHA-256 of each package's RECORD by normalised name.
        probes: The modules that were imported with success, sorted.
        backend: Which backend built it.
        built: When, in ISO 8601 and UTC.
        locks: SHA-256 of the locks that resolve to it, sorted.
    """

    digest: str
    model: str
    directory: str
    interpreter: str
    implementation: str
    python_version: str
    packages: dict[str, str]
    records: dict[str, str]
    probes: list[str]
    backend: str
    built: str
    locks: list[str] = msgspec.field(default_factory=list)


class Stored(msgspec.Struct, frozen=True):
    """One directory under `envs/`; `marker` is None where it is not whole."""

    path: Path
    marker: Marker | None


class Store:
    """The built environments of one `MM_HOME`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def directory(self, model: str, digest: str) -> Path:
        """Return where the environment `digest` is built when `model` needs it first."""
        return self._home.environments / f"{model}-{short(digest)}"

    def all(self) -> tuple[Stored, ...]:
        """Return every directory under `envs/`, by name."""
        return tuple(Stored(path, read_marker(path)) for path in self._directories())

    def find(self, digest: str) -> Stored | None:
        """Return the whole environment `digest`, whichever model it was built for."""
        for path in self.leftovers(digest):
            marker = read_marker(path)
            if marker is not None and marker.digest == digest and interpreter_works(path):
                return Stored(path, marker)
        return None

    def leftovers(self, digest: str) -> tuple[Path, ...]:
        """Return every directory that bears the digest's name, whole or not."""
        ending = f"-{short(digest)}"
        return tuple(path for path in self._directories() if path.name.endswith(ending))

    def publish(self, path: Path, marker: Marker) -> None:
        """Write the marker, atomically: from now on the environment is whole."""
        write_json(path / MARKER, {"format": MARKER_FORMAT, **asdict(marker)})

    def clear(self, path: Path) -> None:
        """Remove a directory under `envs/`, its marker first, so that no half ever looks whole.

        Raises:
            OSError: When something in it cannot be removed.
        """
        from shutil import rmtree  # its imports cost every command

        if path.parent != self._home.environments:
            raise ValueError(f"{path} is not under {self._home.environments}")
        (path / MARKER).unlink(missing_ok=True)
        rmtree(path)

    def build_lock(self, digest: str, pause: Callable[[], None]) -> Held:
        """Take the right to build, probe or remove the environment `digest`; waits for it."""
        return wait_lock(self._home.locks / f"build-{short(digest)}.lock", pause=pause)

    def try_build_lock(self, digest: str) -> Held | None:
        """Take the same right, or return None when somebody else has it."""
        return try_lock(self._home.locks / f"build-{short(digest)}.lock")

    def use(self, digest: str, pause: Callable[[], None] = nap) -> Held:
        """Hold the environment `digest` as in use, shared with other users of it.

        It waits while somebody removes it. Whether it is still there is the caller's to see.
        """
        held = wait_lock(self._use_lock(digest), shared=True, pause=pause)
        held.touch()
        return held

    def try_removal(self, digest: str) -> Held | None:
        """Hold the environment `digest` as used by nobody, or return None when it is in use."""
        return try_lock(self._use_lock(digest))

    def last_used(self, digest: str) -> float | None:
        """Return when the environment was last used, in seconds since the epoch, if ever."""
        try:
            return self._use_lock(digest).stat().st_mtime
        except OSError:
            return None

    def _use_lock(self, digest: str) -> Path:
        return self._home.locks / f"env-{short(digest)}.lock"

    def _directories(self) -> tuple[Path, ...]:
        try:
            return tuple(sorted(p for p in self._home.environments.iterdir() if p.is_dir()))
        except OSError:
            return ()


def read_marker(path: Path) -> Marker | None:
    """Return the marker of the environment at `path`, or None where it is missing or damaged."""
    value = read_json(path / MARKER)
    if not isinstance(value, dict) or value.pop("format", None) != MARKER_FORMAT:
        return None
    marker = _marker(value)
    return marker if marker is not None and marker.directory == str(path) else None


def _marker(value: dict[str, Any]) -> Marker | None:
    import msgspec

    try:
        return msgspec.convert(value, Marker)
    except msgspec.ValidationError:
        return None


def python_of(path: Path) -> Path:
    """Return the interpreter of the environment at `path`."""
    return path / "bin" / "python"


def interpreter_works(path: Path) -> bool:
    """Whether the environment's interpreter leads to a file that exists; a link may dangle."""
    return python_of(path).exists()
