"""Resolving a project to versions that have wheels on every platform and Python that it names.

The resolver takes the newest version that fits, wherever its wheels are. What lacks one somewhere
steps back to the newest version that has them all, unless a requirement forbids that.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from orchestrator.backends.tool_failures import is_transient
from orchestrator.core.lockfile import Pin, read_pins
from orchestrator.core.platforms import allowed_minors, specifier_of
from orchestrator.core.uv_project import pinned_project
from orchestrator.core.wheels import describe_places, missing_wheels, narrowed, split_versions
from orchestrator.system.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchestrator.backends.resolver import Resolution, Resolver
    from orchestrator.core.uv_project import Project
    from orchestrator.core.wheels import Missing, Place

_NO_WHEELS = (
    re.compile(r"all versions of (\S+) have no usable wheels"),
    re.compile(r"(\S+?)==\S+ has no usable wheels"),
    re.compile(r"Wheels are required for `([^`]+)`"),
)
"""How uv says that packages come as source alone, the surest words first."""

ELSEWHERE = re.compile(r"(\S+)==(\S+) has no `[^`]+`-compatible wheels")
"""How uv says that a version without a source has wheels on other platforms alone."""


class Stepped(NamedTuple):
    """What a project resolves to.

    Attributes:
        found: The resolution.
        missing: The packages that lack a wheel somewhere and cannot step back.
        notes: What stepped back, a line each.
    """

    found: Resolution
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def resolve_everywhere(
    resolver: Resolver, project: Project, *arguments: str, present: Iterable[Pin] = ()
) -> Stepped:
    """Resolve `project`, stepping back where a version lacks wheels.

    Args:
        resolver: uv.
        project: What is locked.
        *arguments: Further arguments of `uv lock`.
        present: Pins whose versions are kept wherever they fit.

    Raises:
        ProcessError: When it does not resolve.
        LockError: When what it resolves to is no lock.
    """
    present = tuple(present)
    found = resolver.lock(project, *arguments, present=present)
    lacked: dict[tuple[str, str], Collection[Place]] = {}
    fixed: set[str] = set()
    while True:
        pins = [pin for pin in read_pins(found.body) if pin.name not in (project.build or ())]
        missing = missing_wheels(pins, found.files, project.places, project.glibc)
        lacking: dict[Pin, frozenset[Place]] = {one.pin: one.places for one in missing}
        # uv itself gives way on the platform where a package without a source lacks a wheel.
        for pin, places in split_versions(pins, project.places):
            lacking[pin] = lacking.get(pin, frozenset()) | places
        bounds = _bounds(resolver, lacking, lacked, fixed)
        if not bounds:
            return Stepped(found, tuple(missing), tuple(_notes(lacked, found, project)))
        # All at once; where that does not resolve, each alone, to find what forbids it.
        alone = [{name: each} for name, each in bounds.items()]
        for step in (bounds, *(alone if len(alone) > 1 else ())):
            trial = replace(project, constraints=(*project.constraints, *chain(*step.values())))
            try:
                project, found = trial, resolver.lock(trial, *arguments, present=present)
            except ProcessError as error:
                if is_transient(error):
                    raise
                fixed |= step.keys() if len(step) == 1 else set()
            else:
                if len(step) == len(bounds):
                    break


def _bounds(
    resolver: Resolver,
    lacking: Mapping[Pin, Collection[Place]],
    lacked: dict[tuple[str, str], Collection[Place]],
    fixed: set[str],
) -> dict[str, list[str]]:
    """Return the requirements that have packages step back, by name.

    Args:
        resolver: uv.
        lacking: The packages that lack wheels, and where.
        lacked: Which names and versions lacked some before, and where; `lacking` is added.
        fixed: Names of packages that cannot step back; more are added.
    """
    bounds: dict[str, list[str]] = {}
    for pin, places in lacking.items():
        # A version that lacked some before is there again where an override beats its bound.
        stuck = (pin.name, pin.version) in lacked
        lacked.setdefault((pin.name, pin.version), places)
        bound = None if stuck or pin.name in fixed else _bound(resolver, pin, places)
        if bound is None:
            fixed.add(pin.name)
        else:
            bounds.setdefault(pin.name, []).append(bound)
    return {name: each for name, each in bounds.items() if name not in fixed}


def source_only(resolver: Resolver, project: Project, error: ProcessError) -> tuple[str, ...]:
    """Return the packages that fail a resolution because the index has no wheel of them.

    Each is taken as source without a look at its own requirements, so that all are found and none
    is built.

    Args:
        resolver: uv.
        project: What does not resolve.
        error: Why not.
    """
    names: list[str] = []
    while new := _without_wheels(error.detail, names):
        names += new
        build = (*(project.build or ()), *names)
        try:
            resolver.lock(replace(project, build=build, opaque=tuple(names)))
        except ProcessError as further:
            error = further
        else:
            return tuple(names)
    return ()


def missing_pins(resolver: Resolver, project: Project, error: ProcessError) -> list[Missing]:
    """Return the packages that fail a resolution because they have wheels elsewhere alone.

    uv names the first; what else is missing shows where the project leaves out where that is.

    Args:
        resolver: uv.
        project: What does not resolve.
        error: Why not.
    """
    missing: list[Missing] = []
    while named := ELSEWHERE.search(error.detail):
        pin = Pin(named[1], named[2])
        files = resolver.lock(pinned_project(project, [pin])).files
        found = missing_wheels([pin], files, project.places, project.glibc)
        absent = {place for one in found for place in one.places}
        minors = allowed_minors(project.python)
        kept = narrowed(absent, project.platforms, minors)
        missing += found
        if not found or kept is None:
            return missing
        project = replace(project, platforms=kept[0], python=specifier_of(kept[1], project.python))
        try:
            return [*missing, *resolve_everywhere(resolver, project).missing]
        except ProcessError as further:
            error = further
    return []


def _without_wheels(detail: str, known: Collection[str]) -> list[str]:
    for words in _NO_WHEELS:
        found = dict.fromkeys(words.findall(detail))
        if new := [name for name in found if name not in known]:
            return new
    return []


def _bound(resolver: Resolver, pin: Pin, places: Iterable[Place]) -> str | None:
    """Return what bounds a package to the newest version that may have all wheels, or None.

    That is the oldest of those that are the newest on each of `places`.
    """
    from packaging.version import Version

    newest: list[str] = []
    for place in sorted(places):
        there = resolver.newest(f"{pin.name}<={pin.version}", *place)
        if there is None:
            return None
        newest.append(there)
    oldest = min(newest, key=Version)
    marker = f" ; {pin.marker}" if pin.marker else ""
    return None if oldest == pin.version else f"{pin.name}<={oldest}{marker}"


def _notes(
    lacked: Mapping[tuple[str, str], Collection[Place]], found: Resolution, project: Project
) -> Iterable[str]:
    versions: dict[str, list[str]] = {}
    for pin in read_pins(found.body):
        versions.setdefault(pin.name, []).append(pin.version)
    for (name, version), places in lacked.items():
        now = versions.get(name, [])
        if version not in now:
            where = describe_places(places, project.platforms, allowed_minors(project.python))
            taken = f"locked {' and '.join(now)}" if now else "locked without it"
            yield f"{name} {version} has no wheel for {where}; {taken}"
