"""What building environments will fetch and take: measured with the lock, said before the build.

`sizes.json` lies beside a lock and names its digest, so that it is never believed about another.
It is a convenience: an environment whose sizes are not known is built as well.
"""

from __future__ import annotations

import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import LockError, applicable, parse_lock
from orchestrator.core.platforms import PLATFORMS, allowed_minors, marker_values
from orchestrator.environments.resolver import locked_text, scratch
from orchestrator.environments.wheel_sizes import WheelSize, measure, wheels
from orchestrator.home import read_json
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Environment, Platform
    from orchestrator.environments.resolver import Resolver

SIZES = "sizes.json"
VERSION = 1
_JOBS = 8


def measured(
    resolver: Resolver, environment: Environment, lock: str, places: Iterable[tuple[Platform, str]]
) -> str:
    """Return the text of `sizes.json` for a lock.

    A platform with a package whose size cannot be had is left out, which is said.

    Args:
        resolver: uv, with the indexes to ask.
        environment: The manifest's.
        lock: The lock's text.
        places: The platforms, each with the minor version of Python that stands for all.
    """
    parsed = parse_lock(lock)
    pins = [pin for pin in parsed.pins if pin.name not in environment.build]
    platforms: dict[str, dict[str, WheelSize]] = {}
    known: dict[str, WheelSize] = {}
    for platform, minor in places:
        try:
            applicable(pins, marker_values(platform, minor))
            found = wheels(*_chosen(resolver, pins, platform, minor))
            with ThreadPoolExecutor(_JOBS) as pool:
                new = sorted({wheel.place for wheel in found} - known.keys())
                sizes = pool.map(lambda place: measure(place, resolver.variables), new)
                known.update(zip(new, sizes, strict=True))
        except (LockError, ProcessError, OSError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).partition("\n")[0]
            resolver.reporter.note(f"what it takes on {platform} could not be found out: {reason}")
            continue
        platforms[platform] = {wheel.package: known[wheel.place] for wheel in found}
    document = {"version": VERSION, "lock": parsed.digest, "platforms": platforms}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def representative(environment: Environment) -> list[tuple[Platform, str]]:
    """Return each platform of a manifest with the highest Python that it allows."""
    newest = allowed_minors(environment.python)[-1]
    return [(platform, newest) for platform in environment.platforms or tuple(PLATFORMS)]


def load_sizes(lock: Path, digest: str, platform: str) -> Mapping[str, WheelSize]:
    """Return the sizes of a lock's packages on `platform`, by name; empty where unknown.

    Args:
        lock: The lock.
        digest: The SHA-256 of its text.
        platform: The manifest's name of a platform.
    """
    document = read_json(lock.with_name(SIZES))
    if not isinstance(document, dict) or document.get("version") != VERSION:
        return {}
    platforms = document.get("platforms")
    if document.get("lock") != digest or not isinstance(platforms, dict):
        return {}
    found = platforms.get(platform)
    if not isinstance(found, dict) or not all(map(_is_size, found.values())):
        return {}
    return {name: WheelSize(*size) for name, size in found.items()}


def total(sizes: Mapping[str, WheelSize], packages: Iterable[str]) -> WheelSize:
    """Return what `packages` come to; those of unknown size count nothing."""
    chosen = [sizes[name] for name in packages if name in sizes]
    return WheelSize(sum(one.download for one in chosen), sum(one.disk for one in chosen))


def _is_size(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(WheelSize._fields)
        and all(isinstance(each, int) and each >= 0 for each in value)
    )


def _chosen(
    resolver: Resolver, pins: Sequence[Pin], platform: Platform, minor: str
) -> tuple[str, Path]:
    """Return the `pylock.toml` of `pins` on one platform, and where it lay."""
    with scratch() as folder:
        (folder / "locked.in").write_text(locked_text(pins), encoding="utf-8")
        arguments = [
            "compile", "locked.in", "--no-deps", "--only-binary", ":all:", "--no-annotate",
            "--python-platform", PLATFORMS[platform].uv, "--python-version", minor,
            "--output-file", "pylock.toml",
        ]  # fmt: skip
        resolver.run(arguments, hashed=False, cwd=folder)
        return (folder / "pylock.toml").read_text(encoding="utf-8"), folder
