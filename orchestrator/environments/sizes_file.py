"""`sizes.json`: what the packages of a lock take on every platform, packed and unpacked.

It is measured with the lock, lies beside it, and names its digest, so that it is never believed
about another. It is a convenience: an environment whose sizes are not known is built as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec

from orchestrator.core.lockfile import LockError, applicable, parse_lock
from orchestrator.core.platforms import PLATFORMS, allowed_minors, marker_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orchestrator.core.manifest import Environment, Platform
    from orchestrator.environments.resolver import Resolver

SIZES = "sizes.json"
VERSION = 1
_JOBS = 8


class WheelSize(NamedTuple):
    """Bytes of a wheel as it is fetched, and of its files on a disk."""

    download: Annotated[int, msgspec.Meta(ge=0)]
    disk: Annotated[int, msgspec.Meta(ge=0)]


class _SizesFile(msgspec.Struct, frozen=True):
    version: Literal[1]
    lock: str
    platforms: dict[str, dict[str, WheelSize]]


def load_sizes(lock: Path, digest: str, platform: str) -> Mapping[str, WheelSize]:
    """Return the sizes of a lock's packages on `platform`, by name; empty where unknown.

    Args:
        lock: The lock.
        digest: The SHA-256 of its text.
        platform: The manifest's name of a platform.
    """
    try:
        data = lock.with_name(SIZES).read_bytes()
        document = msgspec.json.decode(data, type=_SizesFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return document.platforms.get(platform, {}) if document.lock == digest else {}


def total(sizes: Mapping[str, WheelSize], packages: Iterable[str]) -> WheelSize:
    """Return what `packages` come to; those of unknown size count nothing."""
    chosen = [sizes[name] for name in packages if name in sizes]
    return WheelSize(sum(one.download for one in chosen), sum(one.disk for one in chosen))


def representative(environment: Environment) -> list[tuple[Platform, str]]:
    """Return each platform of a manifest with the highest Python that it allows."""
    newest = allowed_minors(environment.python)[-1]
    return [(platform, newest) for platform in environment.platforms or tuple(PLATFORMS)]


def measure(
    resolver: Resolver, environment: Environment, lock: str, places: Iterable[tuple[Platform, str]]
) -> str:
    """Return the text of `sizes.json` for a lock.

    A platform with a package whose size cannot be had is left out, with a note.

    Args:
        resolver: uv, with the indexes to ask.
        environment: The manifest's.
        lock: The lock's text.
        places: The platforms, each with the minor version of Python that stands for all.
    """
    from concurrent.futures import ThreadPoolExecutor
    from zipfile import BadZipFile

    from orchestrator.environments.package_files import wheel_size
    from orchestrator.processes import ProcessError

    parsed = parse_lock(lock)
    pins = [pin for pin in parsed.pins if pin.name not in environment.build]
    platforms: dict[str, dict[str, WheelSize]] = {}
    known: dict[str, WheelSize] = {}
    for platform, minor in places:
        try:
            applicable(pins, marker_values(platform, minor))
            arguments = ("--python-platform", PLATFORMS[platform].uv, "--python-version", minor)
            wheels = resolver.files_of(pins, "wheels", *arguments)
            with ThreadPoolExecutor(_JOBS) as pool:
                new = sorted({wheel.url for wheel in wheels} - known.keys())
                sizes = pool.map(lambda url: wheel_size(url, resolver.variables), new)
                known.update(zip(new, sizes, strict=True))
        except (LockError, ProcessError, OSError, ValueError, BadZipFile) as error:
            reason = str(error).partition("\n")[0]
            resolver.reporter.note(f"what it takes on {platform} could not be found out: {reason}")
            continue
        platforms[platform] = {wheel.package: known[wheel.url] for wheel in wheels}
    document = {"version": VERSION, "lock": parsed.digest, "platforms": platforms}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
