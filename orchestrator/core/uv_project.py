"""Projects that uv locks: `pyproject.toml` and `uv.lock` as text.

uv takes platforms and the bounds of a Python from a project alone, and says in `uv.lock` alone
which files each package has. None of these files is kept: a lock is a requirements file.
"""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.lockfile import normal_name
from orchestrator.core.markers import simplified_marker
from orchestrator.core.platforms import (
    GLIBC,
    KNOWN_MINORS,
    PLATFORMS,
    allowed_minors,
    allowed_releases,
    lowest_python,
    marker_values,
)
from orchestrator.core.toml import parse_toml
from orchestrator.core.wheels import PackageFile, PackageFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Environment, Platform
    from orchestrator.core.wheels import Place

PROJECT = "mm-manifest-that-is-locked"
"""The project's name, which no package has."""

_REGISTRY = "https://index.invalid/simple"
"""Stands in a preferred version's entry for an index; uv asks it nothing."""

_REQUIREMENT = re.compile(
    r"^(?P<pin>[^\s#][^\s;]*)(?: ; (?P<marker>.+?))?(?P<tail> \\)?$", re.MULTILINE
)


class Project(msgspec.Struct, frozen=True):
    """What uv locks.

    Attributes:
        python: The manifest's version specifier.
        platforms: The platforms that count.
        dependencies: What is asked for.
        overrides: Requirements that override.
        constraints: Requirements that bound what is taken and ask for nothing.
        build: Names of the only packages that are taken as source; None for whatever has no wheel.
        opaque: Names of packages whose own requirements are not looked at, so that none of them is
            built for those.
        lenient: Whether uv may take versions without a wheel on one of the platforms.
        glibc: The second number of the oldest glibc that counts on Linux.
    """

    python: str
    platforms: tuple[Platform, ...]
    dependencies: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    build: tuple[str, ...] | None = ()
    opaque: tuple[str, ...] = ()
    lenient: bool = False
    glibc: int = GLIBC

    @property
    def places(self) -> list[Place]:
        """Every platform with every minor version of Python that counts."""
        return list(product(self.platforms, allowed_minors(self.python)))

    def arguments(self) -> list[str]:
        """Return what `uv lock` takes in addition: it reads no settings from a project."""
        if self.build is None:
            return []
        return ["--no-build", *(f"--no-binary-package={name}" for name in self.build)]

    def text(self) -> str:
        """Return the `pyproject.toml`."""
        bounds = [
            f"python_full_version {operator} '{version}'"
            for operator, version in _clauses(self.python)
        ]
        systems: list[tuple[str, ...]] = [
            (f"sys_platform == '{facts.sys_platform}'", f"platform_machine == '{facts.machine}'")
            for facts in map(PLATFORMS.__getitem__, self.platforms)
        ]
        if self.lenient:  # without this uv forks for what is no platform, such as Emscripten
            systems = [("(sys_platform == 'linux' or sys_platform == 'darwin')",)]
        environments = [" and ".join((*system, *bounds)) for system in systems]
        metadata = ", ".join(f"{{ name = {json.dumps(name)} }}" for name in self.opaque)
        return "\n".join(
            (
                "[project]",
                f'name = "{PROJECT}"',
                'version = "0"',
                # uv refuses to lock for Pythons that exclude its own, so the bounds stand in the
                # environments, and a lock is the same whichever Python wrote it.
                f'requires-python = ">={KNOWN_MINORS[0]}"',
                f"dependencies = {json.dumps(self.dependencies)}",
                "[tool.uv]",
                "package = false",
                f"environments = {json.dumps(environments)}",
                f"override-dependencies = {json.dumps(self.overrides)}",
                f"constraint-dependencies = {json.dumps(self.constraints)}",
                f"dependency-metadata = [{metadata}]",
                "",
            )
        )


def environment_project(environment: Environment) -> Project:
    """Return the project of a manifest's environment."""
    return Project(
        python=environment.python,
        platforms=environment.platforms or tuple(PLATFORMS),
        dependencies=environment.dependencies,
        overrides=environment.overrides,
        build=environment.build,
        glibc=environment.oldest_glibc,
    )


def pinned_project(project: Project, pins: Iterable[Pin]) -> Project:
    """Return a project of exactly `pins`, of which uv asks nothing but which files there are.

    Args:
        project: Whose platforms and Pythons count.
        pins: What is asked for.
    """
    pins = tuple(pins)
    return Project(
        python=project.python,
        platforms=project.platforms,
        dependencies=tuple(
            f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "")
            for pin in pins
        ),
        build=None,
        opaque=tuple(dict.fromkeys(pin.name for pin in pins)),
        lenient=True,
    )


def _clauses(specifier: str) -> list[tuple[str, str]]:
    """Return what a specifier asks for, and that the release is of a known minor version."""
    from packaging.specifiers import SpecifierSet

    _, _, newest = KNOWN_MINORS[-1].partition(".")
    known = f">={lowest_python(specifier)},<3.{int(newest) + 1}"
    return sorted((one.operator, one.version) for one in SpecifierSet(f"{specifier},{known}"))


def preferences_text(pins: Iterable[Pin]) -> str:
    """Return a `uv.lock` that has uv keep the versions of `pins` wherever they fit."""
    parts = [f'version = 1\nrequires-python = ">={KNOWN_MINORS[0]}"\n']
    for pin in pins:
        marker = f"resolution-markers = [{json.dumps(pin.marker)}]\n" if pin.marker else ""
        parts.append(
            f'\n[[package]]\nname = "{pin.name}"\nversion = "{pin.version}"\n'
            f'source = {{ registry = "{_REGISTRY}" }}\n{marker}'
        )
    return "".join(parts)


def read_uv_lock(text: str, folder: Path) -> dict[tuple[str, str], PackageFiles]:
    """Return the files that a `uv.lock` names, by normalised name and version.

    Args:
        text: The `uv.lock`.
        folder: Where it lay; paths are relative to that.
    """
    found = {}
    for package in parse_toml(text).get("package", ()):
        name, version = normal_name(package["name"]), package.get("version", "")
        registry = package.get("source", {}).get("registry", "")
        base = folder if "://" in registry else folder / registry
        files = [_file(name, entry, base) for entry in package.get("wheels", ())]
        source = package.get("sdist")
        found[name, version] = PackageFiles(
            tuple(files), _file(name, source, base) if source else None
        )
    return found


def _file(name: str, entry: Mapping[str, Any], base: Path) -> PackageFile:
    url = entry.get("url") or (base / entry["path"]).resolve().as_uri()
    return PackageFile(name, url, entry.get("hash", "").removeprefix("sha256:"))


def lock_body(
    exported: str, project: Project, files: Mapping[tuple[str, str], PackageFiles] | None = None
) -> str:
    """Return the body of a lock from what `uv export` wrote for `project`.

    Packages from a directory get their hashes from `files`: uv writes none.

    Markers lose what holds on every platform and Python of the project anyway, so that they read
    as the packages' own.
    """
    places = [
        {**marker_values(platform, release.rpartition(".")[0]), "python_full_version": release}
        for platform in project.platforms
        for release in allowed_releases(project.python)
    ]
    simplified: dict[str, str] = {}

    def requirement(match: re.Match[str]) -> str:
        marker = match["marker"]
        if marker and marker not in simplified:
            simplified[marker] = simplified_marker(marker, places)
        kept = f" ; {simplified[marker]}" if marker and simplified[marker] else ""
        return f"{match['pin']}{kept}{match['tail'] or _hashes(match['pin'], files or {})}"

    return _REQUIREMENT.sub(requirement, exported).replace(PROJECT, "-r manifest.in")


def _hashes(pin: str, files: Mapping[tuple[str, str], PackageFiles]) -> str:
    name, _, version = pin.partition("==")
    known = files.get((normal_name(name), version), PackageFiles())
    hashes = sorted({file.sha256 for file in known.wheels if file.sha256})
    return "".join(f" \\\n    --hash=sha256:{value}" for value in hashes)
