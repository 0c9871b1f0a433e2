"""Wheels of a model's own: files in `envs/<env>/wheels/` that its lock names by their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.system.hashing import sha256_of

if TYPE_CHECKING:
    from orchestrator.core.lockfile import Pin

WHEELS = "wheels"
SUFFIX = ".whl"


def is_own_wheel(path: Path, environments: Path) -> bool:
    """Return whether `path` is a wheel in the folder of an environment's own, by its place."""
    return (
        path.suffix == SUFFIX
        and path.parent.name == WHEELS
        and path.parent.parent.parent == environments
    )


def own_wheels(folder: Path, pins: Iterable[Pin]) -> dict[str, str]:
    """Return the SHA-256 of each wheel in `folder` that `pins` may install, by its name.

    Raises:
        OSError: When one cannot be read.
    """
    hashes = {value for pin in pins for value in pin.hashes}
    found = {path.name: sha256_of(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}
    return {name: value for name, value in found.items() if f"sha256:{value}" in hashes}


class Lost(NamedTuple):
    """A wheel that a lock names and that is not in its folder: its package, what to say, to do."""

    package: str
    what: str
    fix: str


def lost_wheels(folder: Path, wheels: Mapping[str, str], model: str) -> Iterator[Lost]:
    """Yield those of a lock's `wheels` that are not in `folder`, or are other files there.

    Raises:
        OSError: When one cannot be read.
    """
    from orchestrator.core.lockfile import normal_name  # few locks have such wheels

    for name, value in wheels.items():
        path = folder / name
        package = normal_name(name.partition("-")[0])
        if not path.is_file():
            fix = f"bring it back, or run: mm env wheel REQUIREMENT {model}"
            yield Lost(package, f"the lock names {name}, which is not there", fix)
        elif sha256_of(path) != value:
            fix = f"run: mm env lock {model}"
            yield Lost(package, f"{name} is not the file that was locked", fix)
