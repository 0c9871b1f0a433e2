"""Measuring what the packages of a committed lock take: the text of `sizes.json`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from orchestrator.core.lockfile import applicable
from orchestrator.core.platforms import GLIBC, PLATFORMS, allowed_minors, marker_values
from orchestrator.core.wheels import best_wheel
from orchestrator.environments.sizes_file import VERSION, WheelSize, load_sizes
from orchestrator.locking.package_files import wheel_size
from orchestrator.system.reporter import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.backends.resolver import Resolver
    from orchestrator.catalog import Declared
    from orchestrator.core.lockfile import Lock, Pin
    from orchestrator.core.manifest import Environment
    from orchestrator.core.wheels import PackageFiles, Place

    IndexFiles = Mapping[tuple[str, str], PackageFiles]

_JOBS = 8
"""How many wheels are measured at once."""


def sizes_text(
    resolver: Resolver, declared: Declared, target: Path, lock: Lock, files: IndexFiles
) -> str:
    """Return the text of the `sizes.json` that belongs beside a lock; empty where it is there."""
    places = representative(declared.manifest.environment)
    if all(load_sizes(target, lock.digest, platform) for platform, _ in places):
        return ""
    pins = [pin for pin in lock.pins if pin.name not in declared.manifest.environment.build]
    with progress(resolver.reporter, declared.name, "asking for sizes"):
        glibc = declared.manifest.environment.oldest_glibc
        platforms = measure_sizes(resolver, pins, files, places, glibc)
    document = {"version": VERSION, "lock": lock.digest, "platforms": platforms}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def representative(environment: Environment) -> list[Place]:
    """Return each platform of a manifest with the highest Python that it allows."""
    newest = allowed_minors(environment.python)[-1]
    return [(platform, newest) for platform in environment.platforms or tuple(PLATFORMS)]


def measure_sizes(
    resolver: Resolver,
    pins: Sequence[Pin],
    files: IndexFiles,
    places: Iterable[Place],
    glibc: int = GLIBC,
) -> dict[str, dict[str, WheelSize]]:
    """Return what each package takes, by platform and name.

    A platform with a package whose size cannot be had is left out, with a note.

    Args:
        resolver: uv, whose variables name the proxies.
        pins: The pins that are not built from source.
        files: What the index has.
        places: The platforms, each with the minor version of Python that stands for all.
        glibc: The second number of the oldest glibc that counts on Linux.
    """
    platforms: dict[str, dict[str, WheelSize]] = {}
    known: dict[str, WheelSize] = {}
    for platform, minor in places:
        applied = applicable(pins, marker_values(platform, minor))
        found = (
            best_wheel(files[pin.name, pin.version].wheels, platform, minor, glibc)
            for pin in applied
        )
        wheels = [wheel for wheel in found if wheel is not None]
        try:
            with ThreadPoolExecutor(_JOBS) as pool:
                new = sorted({wheel.url for wheel in wheels} - known.keys())
                sizes = pool.map(lambda url: wheel_size(url, resolver.variables), new)
                known.update(zip(new, sizes, strict=True))
        except (OSError, ValueError, BadZipFile) as error:
            reason = str(error).partition("\n")[0]
            resolver.reporter.note(f"what it takes on {platform} could not be found out: {reason}")
            continue
        platforms[platform] = {wheel.package: known[wheel.url] for wheel in wheels}
    return platforms
