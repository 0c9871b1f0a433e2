"""Which platforms and Pythons the files of packages cover, read from the names of wheels alone."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.lockfile import applicable
from orchestrator.core.platforms import GLIBC, MACOS, PLATFORMS, marker_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Platform

    Place = tuple[Platform, str]
    """A platform and a minor version of Python."""

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of manylinux tags from before they named a version of glibc (PEP 600)."""


class PackageFile(NamedTuple):
    """A wheel or source of a package: the package's name, the file's URL, its SHA-256."""

    package: str
    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(self.url).path.rpartition("/")[2])


class PackageFiles(NamedTuple):
    """What an index has of one version of a package."""

    wheels: tuple[PackageFile, ...] = ()
    source: PackageFile | None = None


class Missing(NamedTuple):
    """A locked package, and where no wheel of it installs.

    Attributes:
        pin: The package.
        places: The platforms and Pythons.
        source_only: Whether the index has no wheel of this version at all.
    """

    pin: Pin
    places: frozenset[Place]
    source_only: bool


def missing_wheels(
    pins: Iterable[Pin],
    files: Mapping[tuple[str, str], PackageFiles],
    places: Iterable[Place],
    glibc: int = GLIBC,
) -> list[Missing]:
    """Return the packages that lack a wheel on some of `places`.

    Args:
        pins: The pins of a lock that are not built from source.
        files: What the index has, by normalised name and version.
        places: The platforms and Pythons that the manifest names.
        glibc: The second number of the oldest glibc that counts on Linux.

    Raises:
        LockError: When two versions of a package would apply somewhere.
    """
    pins = tuple(pins)
    absent: dict[Pin, set[Place]] = {}
    for platform, minor in places:
        for pin in applicable(pins, marker_values(platform, minor)):
            known = files.get((pin.name, pin.version), PackageFiles())
            if best_wheel(known.wheels, platform, minor, glibc, hashes=pin.hashes) is None:
                absent.setdefault(pin, set()).add((platform, minor))
    return [
        Missing(pin, frozenset(absent[pin]), _is_source_only(files, pin))
        for pin in pins
        if pin in absent
    ]


def split_versions(
    pins: Iterable[Pin], places: Iterable[Place]
) -> list[tuple[Pin, frozenset[Place]]]:
    """Return the packages of which an older version applies on some platforms under one Python.

    Returns:
        The newest version, and the places where an older one applies instead.
    """
    from packaging.version import Version

    pins = tuple(pins)
    held: dict[Pin, set[Place]] = {}
    by_minor: dict[tuple[str, str], dict[Pin, set[Place]]] = {}
    for platform, minor in places:
        for pin in applicable(pins, marker_values(platform, minor)):
            versions = by_minor.setdefault((pin.name, minor), {})
            versions.setdefault(pin, set()).add((platform, minor))
    for versions in by_minor.values():
        newest = max(versions, key=lambda pin: Version(pin.version))
        older = [at for pin, at in versions.items() if pin.version != newest.version]
        if older:
            held.setdefault(newest, set()).update(*older)
    return [(pin, frozenset(held[pin])) for pin in pins if pin in held]


def _is_source_only(files: Mapping[tuple[str, str], PackageFiles], pin: Pin) -> bool:
    known = files.get((pin.name, pin.version), PackageFiles())
    return known.source is not None and not known.wheels


def best_wheel(
    wheels: Iterable[PackageFile],
    platform: Platform,
    minor: str,
    glibc: int = GLIBC,
    *,
    hashes: Sequence[str] = (),
) -> PackageFile | None:
    """Return the wheel that installs best under CPython `minor` on `platform`, or None.

    Args:
        wheels: The wheels of one version.
        platform: The platform.
        minor: The version of Python.
        glibc: The second number of the version of glibc, on Linux.
        hashes: `sha256:…` of the only files that may be installed; empty for any.
    """
    ranks = _ranks(platform, minor, glibc)
    fitting = [
        (min(ranks[tag] for tag in found), wheel)
        for wheel in wheels
        if (not hashes or f"sha256:{wheel.sha256}" in hashes)
        and (found := _tags(wheel.name) & ranks.keys())
    ]
    return min(fitting)[1] if fitting else None


@lru_cache(maxsize=4096)
def _tags(name: str) -> frozenset[str]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return frozenset(map(str, parse_wheel_filename(name)[3]))
    except InvalidWheelFilename:
        return frozenset()


@lru_cache(maxsize=64)
def _ranks(platform: Platform, minor: str, glibc: int) -> Mapping[str, int]:
    """Return the tags of wheels that install, the best first, each with its place."""
    from packaging.tags import compatible_tags, cpython_tags, mac_platforms

    facts = PLATFORMS[platform]
    if facts.sys_platform == "darwin":
        systems = list(mac_platforms(MACOS, facts.machine))
    else:
        systems = list(_linux_systems(facts.machine, glibc))
    version = (3, int(minor.partition(".")[2]))
    short = f"cp3{version[1]}"
    tags = [
        *cpython_tags(version, [short], systems),
        *compatible_tags(version, short, systems),
    ]
    return {str(tag): rank for rank, tag in reversed(list(enumerate(tags)))}


def _linux_systems(machine: str, newest: int) -> Iterable[str]:
    for glibc in range(newest, 4, -1):
        yield f"manylinux_2_{glibc}_{machine}"
        if glibc in _LEGACY:
            yield f"{_LEGACY[glibc]}_{machine}"
    yield f"linux_{machine}"


def narrowed(
    absent: Collection[Place], platforms: Sequence[Platform], minors: Sequence[str]
) -> tuple[tuple[Platform, ...], tuple[str, ...]] | None:
    """Return the most platforms and consecutive Pythons of which none is in `absent`.

    Of two answers that cover as much, the one with more platforms is taken, then the one with
    newer Pythons. None where nothing is left.
    """
    fitting = (
        (len(kept) * (end - start), len(kept), start, kept)
        for count in range(1, len(platforms) + 1)
        for kept in combinations(platforms, count)
        for start, end in combinations(range(len(minors) + 1), 2)
        if not any(place in absent for place in product(kept, minors[start:end]))
    )
    size, count, start, kept = max(fitting, default=(0, 0, 0, ()))
    return (kept, tuple(minors[start : start + size // count])) if size else None


def describe_places(
    absent: Collection[Place], platforms: Sequence[Platform], minors: Sequence[str]
) -> str:
    """Return `absent` in words, as in `linux-aarch64; macos-arm64 with Python 3.13`."""
    by_minors: dict[tuple[str, ...], list[str]] = {}
    for platform in platforms:
        lacking = tuple(minor for minor in minors if (platform, minor) in absent)
        if lacking:
            by_minors.setdefault(lacking, []).append(platform)
    parts = []
    for lacking, where in by_minors.items():
        every, always = len(where) == len(platforms), len(lacking) == len(minors)
        pythons = f"Python {', '.join(lacking)}"
        if every:
            parts.append("every platform" if always else pythons)
        else:
            parts.append(", ".join(where) + ("" if always else f" with {pythons}"))
    return "; ".join(parts)
