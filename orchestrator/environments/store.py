"""The environments under `MM_HOME/envs`: where they lie, which are whole, and their removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.canonical import short
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.content_store import ContentStore
from orchestrator.system.flock import Held, nap, try_lock, wait_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.system.home import Home

MARKER = "mm-environment.json"
MARKER_FORMAT = 1


class Marker(msgspec.Struct, frozen=True, tag_field="format", tag=MARKER_FORMAT):
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

    @property
    def digest(self) -> str:
        """The environment's digest; of one that is not whole the digits in its name."""
        return self.marker.digest if self.marker else self.path.name.rpartition("-")[2]


class Store(ContentStore[Marker]):
    """The built environments of one `MM_HOME`.

    Args:
        home: `MM_HOME`.
        users_of: Describes who uses the environment of a digest, for errors.
    """

    def __init__(
        self,
        home: Home,
        users_of: Callable[[str], str] = lambda digest: f"a process that holds {short(digest)}",
    ) -> None:
        super().__init__(
            home.environments, home.locks, kind="env", marker_file=MARKER, marker_type=Marker
        )
        self._users_of = users_of

    def directory(self, model: str, digest: str) -> Path:
        """Return where the environment `digest` is built when `model` needs it first."""
        return self.root / f"{model}-{short(digest)}"

    def directories_of(self, digest: str) -> tuple[Path, ...]:
        """Return every directory that bears the digest's name, whole or not."""
        ending = f"-{short(digest)}"
        return tuple(path for path in self.directories() if path.name.endswith(ending))

    def all(self) -> tuple[Stored, ...]:
        """Return every directory under `envs/`, by name."""
        return tuple(Stored(path, self.marker(path)) for path in self.directories())

    def find(self, digest: str) -> Stored | None:
        """Return the whole environment `digest`, whichever model it was built for."""
        for path in self.directories_of(digest):
            marker = self.marker(path)
            if marker is not None and marker.digest == digest and interpreter_works(path):
                return Stored(path, marker)
        return None

    def marker(self, directory: Path) -> Marker | None:
        """Return the marker of the environment at `directory`; None where it was moved, too."""
        found = super().marker(directory)
        return found if found is not None and found.directory == str(directory) else None

    def build_lock(self, digest: str, pause: Callable[[], None] = nap) -> Held:
        """Wait for the right to build, probe or remove the environment `digest`.

        Args:
            digest: Which environment.
            pause: Called between two tries; what it raises ends the wait.
        """
        return wait_lock(self._build_lock(digest), pause=pause)

    def try_build_lock(self, digest: str) -> Held | None:
        """Take the same right, or return None when someone else has it."""
        return try_lock(self._build_lock(digest))

    def remove(self, stored: Stored) -> None:
        """Remove a directory that no one uses; the caller holds its build lock.

        Raises:
            EnvironmentFailure: When it is in use.
            OSError: When something in it cannot be removed.
        """
        if not self.discard(stored.path):
            raise EnvironmentFailure(
                f"the environment is in use by {self._users_of(stored.digest)}",
                where=str(stored.path),
                fix="stop it (mm stop), or wait until it is idle",
            )

    def condemn(self, stored: Stored, pause: Callable[[], None] = nap) -> None:
        """Remove the marker of a broken environment, so that no one starts in it any more.

        Args:
            stored: The environment.
            pause: Called between two tries while another process builds it.
        """
        if stored.marker is not None:
            with self.build_lock(stored.digest, pause):
                (stored.path / MARKER).unlink(missing_ok=True)

    def _build_lock(self, digest: str) -> Path:
        return self.locks / f"build-{short(digest)}.lock"


def python_of(path: Path) -> Path:
    """Return the interpreter of the environment at `path`."""
    return path / "bin" / "python"


def interpreter_works(path: Path) -> bool:
    """Whether the environment's interpreter leads to a file that exists; a link may dangle."""
    return python_of(path).exists()
