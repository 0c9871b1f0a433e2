"""The proof that a lock installs everywhere it claims to: what `mm env lock --check` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import LockError, applicable
from orchestrator.core.platforms import PLATFORMS, allowed_minors, marker_values
from orchestrator.environments.advice import is_passing, tool_failure
from orchestrator.environments.locks import load_build_lock, load_lock
from orchestrator.environments.resolver import locked_text, scratch
from orchestrator.errors import EnvironmentFailure
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Platform
    from orchestrator.environments.declared import Declared
    from orchestrator.environments.resolver import Resolver


@dataclass(frozen=True)
class Finding:
    """One platform and Python version for which a lock does not install.

    Attributes:
        model: The model.
        place: The platform and the version; empty where the lock itself is at fault.
        problem: What is wrong.
        detail: The installer's own words.
    """

    model: str
    place: str
    problem: str
    detail: str = ""


def check_lock(resolver: Resolver, declared: Declared, jobs: int = 4) -> list[Finding]:
    """Return for which platforms and Python versions the lock of `declared` lacks a wheel.

    Packages that the manifest has built from source need none.

    Raises:
        EnvironmentFailure: When the index cannot be asked, which says nothing about the lock.
    """
    name = declared.manifest.name
    environment = declared.manifest.environment
    try:
        lock = load_lock(declared)
        load_build_lock(declared)
    except EnvironmentFailure as error:
        return [Finding(name, "", str(error))]
    pins = [pin for pin in lock.pins if pin.name not in environment.build]
    places = [
        (platform, minor)
        for platform in environment.platforms or tuple(PLATFORMS)
        for minor in allowed_minors(environment.python)
    ]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        found = pool.map(lambda place: _check_one(resolver, name, pins, *place), places)
        return [finding for finding in found if finding is not None]


def _check_one(
    resolver: Resolver, name: str, pins: Sequence[Pin], platform: Platform, minor: str
) -> Finding | None:
    place = f"{platform}, Python {minor}"
    with scratch() as folder:
        (folder / "requirements.txt").write_text(locked_text(pins), encoding="utf-8")
        arguments = [
            "sync", "requirements.txt", "--dry-run", "--require-hashes",
            "--allow-empty-requirements", "--only-binary", ":all:",
            "--python-platform", PLATFORMS[platform].uv,
            "--python-version", minor, "--target", str(folder / "nothing"),
        ]  # fmt: skip
        try:
            applicable(pins, marker_values(platform, minor))
        except LockError as error:
            return Finding(name, place, f"the lock {error.problem}")
        failure = _try(resolver, arguments, folder)
        if failure is not None and is_passing(failure):
            failure = _try(resolver, arguments, folder)  # one answer of hundreds may come late
    if failure is None:
        return None
    if is_passing(failure):
        subject = f"the lock of {name} could not be checked for {place}"
        command = f"mm env lock --check {name}"
        raise tool_failure(failure, subject=subject, name=name, command=command)
    return Finding(name, place, "a package has no wheel there", failure.detail)


def _try(resolver: Resolver, arguments: Sequence[str], folder: Path) -> ProcessError | None:
    try:
        resolver.run(arguments, hashed=True, cwd=folder)
    except ProcessError as error:
        return error
    return None
