"""Measuring what the packages of a lock take on every platform: the text of `sizes.json`."""

from __future__ import annotations

import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import LockError, applicable, parse_lock
from orchestrator.core.platforms import PLATFORMS, allowed_minors, marker_values
from orchestrator.environments.expected import VERSION, WheelSize
from orchestrator.environments.resolver import locked_text, scratch
from orchestrator.environments.wheel_sizes import measure, wheels
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Environment, Platform
    from orchestrator.environments.resolver import Resolver

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
