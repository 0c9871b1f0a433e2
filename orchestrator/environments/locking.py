"""Writing locks: what `mm env lock` does.

A committed lock must install anywhere, so what only this machine has (directories of files,
indexes on its disk, versions such as `2.6.0+cpu`) stays out of it. A lock of the user's own is for
this machine and one interpreter, and may hold all of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import LockError, parse_lock, render_lock, shape_digest
from orchestrator.core.platforms import lowest_python
from orchestrator.environments.advice import tool_failure
from orchestrator.environments.build_lock import requirements_of, sources
from orchestrator.environments.expected import SIZES, load_sizes
from orchestrator.environments.locks import BUILD_LOCK
from orchestrator.environments.measuring import measured, representative
from orchestrator.environments.resolver import lines, locked_text, scratch
from orchestrator.errors import EnvironmentFailure
from orchestrator.home import write_atomically
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.core.manifest import Environment
    from orchestrator.environments.declared import Declared
    from orchestrator.environments.mine import Places
    from orchestrator.environments.resolver import Resolver


@dataclass(frozen=True)
class LockOptions:
    """How a lock is made.

    Attributes:
        upgrade: Whether newer versions may replace those in the present lock.
        upgrade_packages: Names of the only packages of which newer versions may.
        places: For a lock of the user's own: where its packages come from. It is made for the
            resolver's interpreter on this machine, and may hold what only this machine has.
    """

    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    places: Places | None = None


def write_lock(resolver: Resolver, declared: Declared, target: Path, options: LockOptions) -> bool:
    """Resolve the manifest of `declared` into the lock `target`, and `build.lock` beside it.

    Returns:
        Whether a file changed.

    Raises:
        EnvironmentFailure: When the resolver fails (`detail` holds its explanation in full), the
            result is no lock for everybody, or the file cannot be written.
    """
    name = declared.manifest.name
    environment = declared.manifest.environment
    places = options.places
    chosen = resolver if places is not None else resolver.shared()
    chosen.reporter.progress(name, "resolving")
    try:
        body = _compile(chosen, name, environment, target, options)
        shape = shape_digest(environment)
        command = f"mm env lock {'--mine ' if places else ''}{name}"
        notes = places.notes() if places is not None else ()
        text = render_lock(body, shape=shape, command=command, notes=notes)
        _refuse(name, text, local=places is not None)
        built = _compile_build(chosen, name, environment, text) if environment.build else ""
    finally:
        chosen.reporter.finish(name)
    changed = write_if_changed(target, text)
    if built:
        rendered = render_lock(built, shape=shape, command=command)
        changed = write_if_changed(target.with_name(BUILD_LOCK), rendered) or changed
    if places is None:
        changed = _write_sizes(chosen, declared, target, text) or changed
    return changed


def _write_sizes(resolver: Resolver, declared: Declared, target: Path, text: str) -> bool:
    """Write beside a committed lock what its packages take, unless it stands there already."""
    name, environment = declared.manifest.name, declared.manifest.environment
    places = representative(environment)
    digest = parse_lock(text).digest
    if all(load_sizes(target, digest, platform) for platform, _ in places):
        return False
    resolver.reporter.progress(name, "asking for sizes")
    try:
        sizes = measured(resolver, environment, text, places)
    finally:
        resolver.reporter.finish(name)
    return write_if_changed(target.with_name(SIZES), sizes)


def _compile(
    resolver: Resolver, name: str, environment: Environment, target: Path, options: LockOptions
) -> str:
    """Return the body of the lock."""
    places = options.places
    overrides = (*environment.overrides, *(places.overrides if places else ()))
    arguments = ["--generate-hashes"]
    if places is None:
        arguments += ["--universal", "--python-version", lowest_python(environment.python)]
    else:
        arguments += places.resolver_arguments()
    for package in environment.build:
        arguments += ["--no-binary", package]
    if options.upgrade:
        arguments += ["--upgrade"]
    for package in options.upgrade_packages:
        arguments += ["--upgrade-package", package]
    present = ""
    if target.is_file():
        # What stands in the present lock is kept wherever it still fits.
        present = target.read_text(encoding="utf-8", errors="replace")
    try:
        return compile_requirements(
            resolver, environment.dependencies, arguments, overrides=overrides, present=present
        )
    except ProcessError as error:
        raise unresolved(error, name, f"the dependencies of {name} do not resolve") from error


def _compile_build(resolver: Resolver, name: str, environment: Environment, lock: str) -> str:
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
    lowest = lowest_python(environment.python)
    try:
        with scratch() as folder:
            (folder / "sources.in").write_text(locked_text(built), encoding="utf-8")
            arguments = [
                "compile", "sources.in", "--no-deps", "--no-binary", ":all:", "--no-annotate",
                "--python-version", lowest, "--output-file", "pylock.toml",
            ]  # fmt: skip
            resolver.run(arguments, hashed=False, cwd=folder)
            found = sources((folder / "pylock.toml").read_text(encoding="utf-8"))
        needed = {one for source in found for one in requirements_of(source, resolver.variables)}
        arguments = ["--generate-hashes", "--universal", "--python-version", lowest]
        return compile_requirements(resolver, sorted(needed), arguments)
    except ProcessError as error:
        subject = f"what {name} needs in order to build {', '.join(environment.build)}"
        raise unresolved(error, name, f"{subject} does not resolve") from error


def compile_requirements(
    resolver: Resolver,
    requirements: tuple[str, ...] | list[str],
    arguments: list[str],
    *,
    overrides: tuple[str, ...] = (),
    present: str = "",
) -> str:
    """Return what `uv pip compile` makes of `requirements`; nothing is built from source.

    Args:
        resolver: uv.
        requirements: What is asked for.
        arguments: Further arguments.
        overrides: Requirements that override.
        present: A lock whose versions are kept wherever they fit.

    Raises:
        ProcessError: When they do not resolve.
    """
    with scratch() as folder:
        (folder / "manifest.in").write_text(lines(requirements), encoding="utf-8")
        command = [
            "compile", "manifest.in", "--no-header", "--only-binary", ":all:",
            "--output-file", "locked.txt", *arguments,
        ]  # fmt: skip
        if present:
            (folder / "locked.txt").write_text(present, encoding="utf-8")
        if overrides:
            (folder / "overrides.in").write_text(lines(overrides), encoding="utf-8")
            command += ["--overrides", "overrides.in"]
        resolver.run(command, hashed=False, cwd=folder)
        return (folder / "locked.txt").read_text(encoding="utf-8")


def unresolved(error: ProcessError, name: str, subject: str) -> EnvironmentFailure:
    """Return the error that a resolution which failed comes to."""
    return tool_failure(
        error,
        subject=subject,
        name=name,
        command=f"mm env lock {name}",
        otherwise=f"mend its manifest, then run: mm env lock {name}",
    )


def _refuse(name: str, text: str, *, local: bool) -> None:
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


def write_if_changed(target: Path, text: str) -> bool:
    """Write `text` to `target` unless it holds just that; return whether it was written.

    Raises:
        EnvironmentFailure: When the directory cannot be written.
    """
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
