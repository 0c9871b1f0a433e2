"""Writing locks: what `mm env lock` does.

A committed lock must install anywhere, so what only this machine has (directories of files,
indexes on its disk, versions such as `2.6.0+cpu`) stays out of it. A lock of the user's own is for
this machine and one interpreter, and may hold all of that.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from orchestrator.core.lockfile import LockError, applicable, parse_lock, render_lock, shape_digest
from orchestrator.core.platforms import PLATFORMS, allowed_minors, lowest_python, marker_values
from orchestrator.environments.locks import BUILD_LOCK, UserLockOptions
from orchestrator.environments.package_files import build_requirements, wheel_size
from orchestrator.environments.sizes_file import SIZES, VERSION, WheelSize, load_sizes
from orchestrator.environments.tool_failures import tool_failure
from orchestrator.errors import EnvironmentFailure
from orchestrator.system.home import write_atomically
from orchestrator.system.processes import ProcessError
from orchestrator.system.reporter import progress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Environment, Platform
    from orchestrator.environments.resolver import Resolver

_JOBS = 8
"""How many wheels are measured at once."""


@dataclass(frozen=True)
class LockOptions:
    """How a lock is made.

    Attributes:
        upgrade: Whether newer versions may replace those in the present lock.
        upgrade_packages: Names of the only packages of which newer versions may.
        user: For a lock of the user's own: where its packages come from. It is made for the
            resolver's interpreter on this machine, and may hold what only this machine has.
    """

    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    user: UserLockOptions | None = None


def write_lock(resolver: Resolver, declared: Declared, target: Path, options: LockOptions) -> bool:
    """Resolve the manifest of `declared` into the lock `target`, and `build.lock` beside it.

    Returns:
        Whether a file changed.

    Raises:
        EnvironmentFailure: When the resolver fails (`detail` holds its explanation in full), the
            result does not install everywhere, or the file cannot be written.
    """
    name = declared.name
    environment = declared.manifest.environment
    shape = shape_digest(environment)
    user = options.user
    chosen = resolver if user else resolver.shared()
    command = f"mm env lock {'--mine ' if user else ''}{name}"
    with progress(chosen.reporter, name, "resolving"):
        body = _resolve(chosen, name, environment, target, options)
        text = render_lock(body, shape=shape, command=command, notes=user.notes() if user else ())
        _check(name, text, local=user is not None)
        build = _resolve_build(chosen, name, environment, text) if environment.build else ""
    changed = _write_if_changed(target, text)
    if build:
        rendered = render_lock(build, shape=shape, command=command)
        changed = _write_if_changed(target.with_name(BUILD_LOCK), rendered) or changed
    if not user:
        changed = _write_sizes(chosen, declared, target, text) or changed
    return changed


def _write_sizes(resolver: Resolver, declared: Declared, target: Path, text: str) -> bool:
    """Write beside a committed lock what its packages take, unless it is there already."""
    environment = declared.manifest.environment
    places = representative(environment)
    digest = parse_lock(text).digest
    if all(load_sizes(target, digest, platform) for platform, _ in places):
        return False
    with progress(resolver.reporter, declared.name, "asking for sizes"):
        sizes = measure_sizes(resolver, environment, text, places)
    return _write_if_changed(target.with_name(SIZES), sizes)


def representative(environment: Environment) -> list[tuple[Platform, str]]:
    """Return each platform of a manifest with the highest Python that it allows."""
    newest = allowed_minors(environment.python)[-1]
    return [(platform, newest) for platform in environment.platforms or tuple(PLATFORMS)]


def measure_sizes(
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


def _resolve(
    resolver: Resolver, name: str, environment: Environment, target: Path, options: LockOptions
) -> str:
    """Return the body of the lock."""
    user = options.user
    arguments = ["--generate-hashes", *(["--upgrade"] if options.upgrade else [])]
    if user is None:
        arguments += ["--universal", "--python-version", lowest_python(environment.python)]
    else:
        arguments += user.resolver_arguments()
    for package in environment.build:
        arguments += ["--no-binary", package]
    for package in options.upgrade_packages:
        arguments += ["--upgrade-package", package]
    present = ""
    if target.is_file():
        # What stands in the present lock is kept wherever it still fits.
        present = target.read_text(encoding="utf-8", errors="replace")
    overrides = (*environment.overrides, *(user.overrides if user else ()))
    try:
        return resolver.compile(
            environment.dependencies, arguments, overrides=overrides, present=present
        )
    except ProcessError as error:
        raise _unresolved(error, name, f"the dependencies of {name} do not resolve") from error


def _resolve_build(resolver: Resolver, name: str, environment: Environment, lock: str) -> str:
    """Return the body of `build.lock`: what building the packages in `build` needs.

    Raises:
        EnvironmentFailure: When a package to build is not in the lock, or its requirements cannot
            be found out or resolved.
    """
    built = [pin for pin in parse_lock(lock).pins if pin.name in environment.build]
    absent = sorted({*environment.build} - {pin.name for pin in built})
    if absent:
        raise EnvironmentFailure(
            f"{name} builds {', '.join(absent)}, which none of its packages needs",
            fix="take it out of environment.build",
        )
    python = ("--python-version", lowest_python(environment.python))
    try:
        sources = resolver.files_of(built, "sdist", *python)
        needed = {one for each in sources for one in build_requirements(each, resolver.variables)}
        return resolver.compile(sorted(needed), ["--generate-hashes", "--universal", *python])
    except ProcessError as error:
        subject = f"what {name} needs in order to build {', '.join(environment.build)}"
        raise _unresolved(error, name, f"{subject} does not resolve") from error


def _unresolved(error: ProcessError, name: str, subject: str) -> EnvironmentFailure:
    command = f"mm env lock {name}"
    otherwise = f"correct its manifest, then run: {command}"
    return tool_failure(error, subject=subject, name=name, command=command, otherwise=otherwise)


def _check(name: str, text: str, *, local: bool) -> None:
    """Refuse a resolution that is no lock, or (unless `local`) one that only some indexes have."""
    try:
        lock = parse_lock(text)
    except LockError as error:
        raise EnvironmentFailure(
            f"the dependencies of {name} cannot be locked: the resolution {error.problem}",
            fix="name packages by version, not by URL or path",
        ) from error
    unusual = [f"{pin.name}=={pin.version}" for pin in lock.pins if "+" in pin.version]
    if unusual and not local:
        raise EnvironmentFailure(
            f"the lock of {name} would name versions that only some indexes have: "
            f"{', '.join(unusual)}",
            fix=f"for a lock of your own, run: mm env lock --mine {name}",
        )


def _write_if_changed(target: Path, text: str) -> bool:
    try:
        if target.is_file() and target.read_bytes() == text.encode("utf-8"):
            return False
        write_atomically(target, text.encode("utf-8"))
    except OSError as error:
        raise EnvironmentFailure(
            f"the lock cannot be written ({error.strerror})",
            where=str(target),
            fix="make its directory writable",
        ) from error
    return True
