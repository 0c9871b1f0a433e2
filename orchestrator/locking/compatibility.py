"""Where a lock installs (`mm env lock --check`), and what keeps two models apart (`mm env why`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.backends.tool_failures import is_transient, tool_failure
from orchestrator.catalog.own_wheels import lost_wheels
from orchestrator.core.lockfile import LockError
from orchestrator.core.platforms import allowed_minors
from orchestrator.core.requirement_tree import Difference, differences
from orchestrator.core.uv_project import Project, environment_project, pinned_project
from orchestrator.core.wheels import missing_wheels
from orchestrator.environments.locks import load_build_lock, load_lock
from orchestrator.errors import EnvironmentFailure
from orchestrator.locking.stepping import ELSEWHERE
from orchestrator.locking.uncovered import lines_without, table
from orchestrator.system.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.backends.resolver import Resolver
    from orchestrator.catalog import Declared
    from orchestrator.core.lockfile import Pin
    from orchestrator.core.wheels import PackageFiles
    from orchestrator.environments.targets import Target

_GONE = re.compile(
    r"there is no version of (\S+==[^\s,]+)|(\S+) was not found in the package registry"
)
"""How uv says that the index does not have what is pinned."""


@dataclass(frozen=True)
class LockFinding:
    """What is wrong with a lock.

    Attributes:
        model: The model.
        problem: What is wrong; empty where packages lack wheels.
        missing: The packages that lack a wheel somewhere: name, version, where.
        fix: The lines of a manifest without that; empty where there are none.
        detail: The resolver's own words.
    """

    model: str
    problem: str = ""
    missing: tuple[tuple[str, str, str], ...] = ()
    fix: str = ""
    detail: str = ""


def check_lock(resolver: Resolver, declared: Declared) -> LockFinding | None:
    """Return what the lock of `declared` lacks on the platforms and Pythons of its manifest.

    Packages that the manifest has built from source need no wheel.

    Raises:
        EnvironmentFailure: When the index cannot be asked, which says nothing about the lock.
    """
    name, environment = declared.name, declared.manifest.environment
    try:
        lock = load_lock(declared)
        load_build_lock(declared)
    except EnvironmentFailure as error:
        return LockFinding(name, str(error))
    pins = [pin for pin in lock.pins if pin.name not in environment.build]
    asked = replace(resolver, indexes=resolver.indexes.shared(declared.wheels))
    project = environment_project(environment)
    try:
        files = _available(asked, project, pins)
    except ProcessError as error:
        if not is_transient(error):
            return LockFinding(name, "its packages cannot be had together", detail=error.detail)
        subject = f"the lock of {name} could not be checked"
        command = f"mm env lock --check {name}"
        raise tool_failure(error, subject=subject, name=name, command=command) from error
    try:
        missing = missing_wheels(pins, files, project.places, project.glibc)
    except LockError as error:
        return LockFinding(name, f"the lock {error.problem}")
    if not missing:
        return None
    rows = tuple(table(environment, missing))
    lacking = {one.pin.name for one in missing}
    for lost in lost_wheels(declared.wheels, lock.wheels, name):
        if lost.package in lacking:
            return LockFinding(name, f"{lost.what}; {lost.fix}", rows)
    return LockFinding(name, missing=rows, fix=lines_without(environment, missing))


def _available(
    resolver: Resolver, project: Project, pins: Sequence[Pin]
) -> Mapping[tuple[str, str], PackageFiles]:
    """Return the files that the index has of `pins`; what is not there has none.

    Raises:
        ProcessError: When the index cannot be asked, or the pins cannot be had together.
    """
    try:
        return resolver.lock(pinned_project(project, pins), hashed=True).files
    except ProcessError as error:
        gone = {name for names in _GONE.findall(error.detail) for name in names}
        # Alone it is asked for without the other pins' markers, which have parted the platforms.
        alone = set(ELSEWHERE.findall(error.detail)) if len(pins) > 1 else set()
        left = [
            pin
            for pin in pins
            if not gone & {pin.name, f"{pin.name}=={pin.version}"}
            and (pin.name, pin.version) not in alone
        ]
        if is_transient(error) or len(left) == len(pins):
            raise
        there = dict(_available(resolver, project, left))
        for pin in pins:
            if (pin.name, pin.version) in alone:
                there.update(_available(resolver, project, [pin]))
        return there


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
    platforms = tuple(
        one
        for one in environment_project(ours).platforms
        if one in environment_project(theirs).platforms
    )
    if not platforms:
        return f"{first.name} and {second.name} have no platform in common"
    project = Project(
        python=f"{ours.python},{theirs.python}",
        platforms=platforms,
        dependencies=(*ours.dependencies, *theirs.dependencies),
        overrides=tuple(dict.fromkeys((*ours.overrides, *theirs.overrides))),
        build=tuple(sorted({*ours.build, *theirs.build})),
    )
    try:
        resolver.shared(first.wheels, second.wheels).lock(project)
    except ProcessError as error:
        return error.detail or str(error)
    return ""
