"""Where a lock installs (`mm env lock --check`), and what keeps two models apart (`mm env why`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import LockError, applicable
from orchestrator.core.platforms import PLATFORMS, allowed_minors, lowest_python, marker_values
from orchestrator.core.requirement_tree import Difference, differences
from orchestrator.environments.locks import load_build_lock, load_lock
from orchestrator.environments.tool_failures import is_transient, tool_failure
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.catalog import Declared
    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Platform
    from orchestrator.environments.resolver import Resolver
    from orchestrator.environments.targets import Target

_JOBS = 4


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


def check_lock(resolver: Resolver, declared: Declared) -> list[Finding]:
    """Return for which platforms and Python versions the lock of `declared` lacks a wheel.

    Packages that the manifest has built from source need none.

    Raises:
        EnvironmentFailure: When the index cannot be asked, which says nothing about the lock.
    """
    environment = declared.manifest.environment
    try:
        lock = load_lock(declared)
        load_build_lock(declared)
    except EnvironmentFailure as error:
        return [Finding(declared.name, "", str(error))]
    pins = [pin for pin in lock.pins if pin.name not in environment.build]
    places = [
        (platform, minor)
        for platform in environment.platforms or tuple(PLATFORMS)
        for minor in allowed_minors(environment.python)
    ]
    with ThreadPoolExecutor(_JOBS) as pool:
        found = pool.map(lambda place: _check_one(resolver, declared.name, pins, *place), places)
        return [finding for finding in found if finding is not None]


def _check_one(
    resolver: Resolver, name: str, pins: Sequence[Pin], platform: Platform, minor: str
) -> Finding | None:
    place = f"{platform}, Python {minor}"
    try:
        applicable(pins, marker_values(platform, minor))
    except LockError as error:
        return Finding(name, place, f"the lock {error.problem}")
    failure = _try(resolver, pins, platform, minor)
    if failure is not None and is_transient(failure):
        failure = _try(resolver, pins, platform, minor)  # one answer of hundreds may come late
    if failure is None:
        return None
    if is_transient(failure):
        subject = f"the lock of {name} could not be checked for {place}"
        command = f"mm env lock --check {name}"
        raise tool_failure(failure, subject=subject, name=name, command=command)
    return Finding(name, place, "a package has no wheel there", failure.detail)


def _try(
    resolver: Resolver, pins: Sequence[Pin], platform: Platform, minor: str
) -> ProcessError | None:
    command = (
        "sync", "requirements.txt", "--allow-empty-requirements",
        "--python-platform", PLATFORMS[platform].uv, "--python-version", minor,
    )  # fmt: skip
    try:
        resolver.try_install(pins, *command)
    except ProcessError as error:
        return error
    return None


@dataclass(frozen=True)
class Comparison:
    """What keeps two models apart.

    Attributes:
        shared: Whether they share one environment as it is.
        conflict: Why no lock can hold both, in the resolver's words; empty where one can.
        differences: The packages that their locks hold in different versions.
        only: The packages that only one of the locks holds: of the first, of the second.
    """

    shared: bool
    conflict: str
    differences: tuple[Difference, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def compare(resolver: Resolver, first: Target, second: Target) -> Comparison:
    """Return what keeps two models apart.

    Raises:
        EnvironmentFailure: When a manifest's version specifier fits no known Python.
    """
    if first.digest == second.digest:
        return Comparison(shared=True, conflict="", differences=(), only=((), ()))
    ours, theirs = first.packages.keys(), second.packages.keys()
    return Comparison(
        shared=False,
        conflict=_conflict(resolver, first.declared, second.declared),
        differences=tuple(differences(first.pins, second.pins)),
        only=(tuple(sorted(ours - theirs)), tuple(sorted(theirs - ours))),
    )


def _conflict(resolver: Resolver, first: Declared, second: Declared) -> str:
    ours, theirs = first.manifest.environment, second.manifest.environment
    if not set(allowed_minors(ours.python)) & set(allowed_minors(theirs.python)):
        return (
            f"{first.name} needs Python {ours.python} and "
            f"{second.name} needs Python {theirs.python}: no Python is both"
        )
    python = lowest_python(f"{ours.python},{theirs.python}")
    arguments = ["--universal", "--python-version", python]
    for package in sorted({*ours.build, *theirs.build}):
        arguments += ["--no-binary", package]
    try:
        resolver.shared().compile(
            (*ours.dependencies, *theirs.dependencies),
            arguments,
            overrides=tuple(dict.fromkeys((*ours.overrides, *theirs.overrides))),
        )
    except ProcessError as error:
        return error.detail or str(error)
    return ""
