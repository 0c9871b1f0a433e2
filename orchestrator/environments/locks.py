"""Reading the locks of models: whether they are whole and still fit what the manifests say.

A lock of the user's own (`mm env lock --mine`, in `MM_HOME/mine`) may hold what a committed one may
not: a CPU build of torch, wheels from a directory, another index. Its head keeps the options that
it was made with, so that a sync installs from the same places.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.lockfile import Lock, LockError, parse_lock, shape_digest
from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.redaction import has_credentials
from orchestrator.system.files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.catalog import Declared

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
    missing = f"{declared.name} has no lock"
    return _load(declared, path or declared.lock, "the lock", missing, user=path is not None)


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
    missing = "the build requirements are not locked"
    return path, _load(declared, path, "the lock of the build requirements", missing)


def _load(
    declared: Declared, path: Path, subject: str, missing: str, *, user: bool = False
) -> Lock:
    fix = f"run: mm env lock {'--mine ' if user else ''}{declared.name}"

    def failure(what: str, line: int = 0) -> EnvironmentFailure:
        return EnvironmentFailure(what, where=f"{path}:{line}" if line else str(path), fix=fix)

    try:
        lock = parse_lock(read_text(path))
    except FileNotFoundError as error:
        raise failure(missing) from error
    except UnicodeDecodeError as error:
        raise failure("the lock is not text") from error
    except OSError as error:
        raise failure(f"the lock cannot be read ({error.strerror})") from error
    except LockError as error:
        raise failure(f"the lock {error.problem}", error.line) from error
    if user:
        fix = " ".join((fix, *lock.notes))
    if not lock.intact:
        raise failure(f"{subject} was edited by hand")
    if lock.shape != shape_digest(declared.manifest.environment):
        raise failure(f"{subject} no longer fits its manifest")
    return lock


class UserLockOptions(msgspec.Struct, frozen=True):
    """The options that a lock of the user's own is made with: where its packages come from.

    Attributes:
        torch: uv's `--torch-backend`; empty for none.
        find_links: Directories and pages of files; `$NAME` for what a variable holds.
        indexes: Indexes asked before the user's own; likewise.
        overrides: Requirements that override.
        python: The minor version that the lock was made for, as in `3.11`.
    """

    torch: str = ""
    find_links: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    python: str = ""

    def notes(self) -> tuple[str, ...]:
        """Return the lines that the head of a lock keeps."""
        import shlex

        pairs = [
            ("--torch", self.torch),
            *(("--find-links", place) for place in self.find_links),
            *(("--index", index) for index in self.indexes),
            *(("--override", override) for override in self.overrides),
            ("--python", self.python),
        ]
        return tuple(shlex.join((option, value)) for option, value in pairs if value)

    def resolver_arguments(self) -> tuple[str, ...]:
        """Return what uv's resolver takes in addition."""
        arguments = ["--torch-backend", self.torch] if self.torch else []
        if self.indexes or self.find_links:
            # The user has named these places for this lock: the best version of any of them.
            arguments += ["--index-strategy", "unsafe-best-match"]
        return tuple(arguments)

    def added_to(self, settings: IndexSettings, variables: Mapping[str, str]) -> IndexSettings:
        """Return index settings that ask these places first.

        Args:
            settings: The user's own.
            variables: The user's variables, of which some may hold a place.

        Raises:
            EnvironmentFailure: When a variable that is to hold a place is not set.
        """
        from dataclasses import replace

        return replace(
            settings,
            extra=(*_places(self.indexes, variables), *settings.extra),
            find_links=(*_places(self.find_links, variables), *settings.find_links),
        )


def user_lock_options(lock: Lock) -> UserLockOptions:
    """Return the options that a lock was made with, as its head says."""
    import shlex

    values: dict[str, list[str]] = {}
    for note in lock.notes:
        option, _, value = note.partition(" ")
        values.setdefault(option, []).append("".join(shlex.split(value)))

    def all_of(option: str) -> tuple[str, ...]:
        return tuple(values.get(option, ()))

    return UserLockOptions(
        torch="".join(all_of("--torch")[:1]),
        find_links=all_of("--find-links"),
        indexes=all_of("--index"),
        overrides=all_of("--override"),
        python="".join(all_of("--python")[:1]),
    )


def absolute_places(places: Sequence[str], cwd: Path) -> tuple[str, ...]:
    """Return `places` with paths made absolute; URLs and names of variables stay.

    Raises:
        UsageError: For a URL with credentials, which the lock would keep.
    """
    for place in places:
        if has_credentials(place):
            raise UsageError(
                "the URL holds credentials, which a lock does not keep",
                where=place,
                fix="put it into a variable, such as MY_INDEX, and write '$MY_INDEX' in its place",
            )
    return tuple(
        place
        if "://" in place or place.startswith("$")
        else str((cwd / Path(place).expanduser()).resolve())
        for place in places
    )


def _places(places: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    for place in places:
        name = place.removeprefix("$")
        value = place if name == place else variables.get(name)
        if not value:
            raise EnvironmentFailure(
                f"your lock takes packages from {place}, which is not set",
                fix=f"set the variable {name} to the URL",
            )
        yield value
