"""Writing locks: what `mm env lock` does.

A committed lock must install anywhere, so what only this machine has (directories of files,
indexes on its disk, versions such as `2.6.0+cpu`) stays out of it. A lock of the user's own is for
this machine and one interpreter, and may hold all of that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.backends.resolver import Resolution
from orchestrator.backends.tool_failures import tool_failure
from orchestrator.catalog.own_wheels import own_wheels
from orchestrator.core.lockfile import (
    LockError,
    changes,
    parse_lock,
    read_pins,
    render_lock,
    shape_digest,
)
from orchestrator.core.platforms import KNOWN_MINORS, allowed_minors
from orchestrator.core.refusals import remedy
from orchestrator.core.uv_project import Project, environment_project, pinned_project
from orchestrator.environments.locks import BUILD_LOCK, UserLockOptions
from orchestrator.environments.sizes_file import SIZES
from orchestrator.errors import EnvironmentFailure
from orchestrator.locking.measuring import sizes_text
from orchestrator.locking.package_files import build_requirements
from orchestrator.locking.stepping import missing_pins, resolve_everywhere, source_only
from orchestrator.locking.uncovered import source_failure, wheels_failure
from orchestrator.system.files import read_file, read_text
from orchestrator.system.home import write_atomically
from orchestrator.system.processes import ProcessError
from orchestrator.system.reporter import progress

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.backends.resolver import Resolver
    from orchestrator.catalog import Declared
    from orchestrator.core.lockfile import Pin


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


class Written(NamedTuple):
    """What writing a lock did.

    Attributes:
        changed: Whether a file changed.
        changes: The packages that were added, removed or moved, a line each.
    """

    changed: bool
    changes: tuple[str, ...] = ()


def write_lock(
    resolver: Resolver, declared: Declared, target: Path, options: LockOptions
) -> Written:
    """Resolve the manifest of `declared` into the lock `target`, and `build.lock` beside it.

    Raises:
        EnvironmentFailure: When the resolver fails (`detail` holds its explanation in full), the
            result does not install everywhere, or the file cannot be written.
    """
    name = declared.name
    environment = declared.manifest.environment
    if not allowed_minors(environment.python):
        known = f"{KNOWN_MINORS[0]} to {KNOWN_MINORS[-1]}"
        what = f"environment.python: no Python from {known} fits {environment.python!r}"
        raise EnvironmentFailure(what, where=declared.shown, fix="correct it")
    shape = shape_digest(environment)
    user = options.user
    own = declared.wheels
    if user:
        indexes = user.added_to(resolver.indexes, resolver.variables).with_own(own)
        chosen = replace(resolver, indexes=indexes)
    else:
        chosen = resolver.shared(own)
    command = f"mm env lock {'--mine ' if user else ''}{name}"
    present = read_text(target, "replace") if target.is_file() else ""
    with progress(chosen.reporter, name, "resolving"):
        if user:
            found = Resolution(_resolve_mine(chosen, declared, user, options, present), {})
        else:
            found = _resolve(chosen, declared, options, present)
        pins = _checked(declared, found.body, local=user is not None)
        build = _resolve_build(chosen, declared, pins) if environment.build else ""
        wheels = own_wheels(own, (*pins, *read_pins(build)))
        notes = user.notes() if user else ()
        text = render_lock(found.body, shape=shape, command=command, notes=notes, wheels=wheels)
        lock = parse_lock(text)
    changed = _write_if_changed(target, text, mode=0o600 if user else 0o644)
    if build:
        rendered = render_lock(build, shape=shape, command=command)
        changed = _write_if_changed(target.with_name(BUILD_LOCK), rendered) or changed
    if not user:
        sizes = sizes_text(chosen, declared, target, lock, found.files)
        changed = (sizes != "" and _write_if_changed(target.with_name(SIZES), sizes)) or changed
    return Written(changed, tuple(changes(present_pins(present), lock.pins)) if present else ())


def present_pins(text: str) -> tuple[Pin, ...]:
    """Return the pins of the lock that is there, whose versions stay; none where it is damaged."""
    try:
        return parse_lock(text).pins
    except LockError:
        return ()


def _resolve(
    resolver: Resolver, declared: Declared, options: LockOptions, present: str
) -> Resolution:
    """Return a resolution whose packages have wheels wherever the manifest says.

    Raises:
        EnvironmentFailure: When there is none, with the lines of a manifest that has one.
    """
    project = environment_project(declared.manifest.environment)
    arguments = [f"--upgrade-package={package}" for package in options.upgrade_packages]
    arguments += ["--upgrade"] if options.upgrade else []
    try:
        stepped = resolve_everywhere(resolver, project, *arguments, present=present_pins(present))
    except ProcessError as error:
        raise (
            _lacking(resolver, declared, project, error)
            or _unresolved(
                error, declared.name, f"the dependencies of {declared.name} do not resolve"
            )
        ) from error
    except LockError as error:
        raise _no_lock(declared.name, error) from error
    if stepped.missing:
        raise wheels_failure(declared, stepped.missing)
    for note in stepped.notes:
        resolver.reporter.note(note)
    return stepped.found


def _lacking(
    resolver: Resolver, declared: Declared, project: Project, error: ProcessError
) -> EnvironmentFailure | None:
    """Return the error that says which wheels a failed resolution lacks; None where it is not that.

    uv names the first that it meets.
    """
    if names := source_only(resolver, project, error):
        return source_failure(declared, names, error.detail)
    try:
        missing = missing_pins(resolver, project, error)
    except (ProcessError, LockError):
        return None  # uv's first words say more
    return wheels_failure(declared, missing) if missing else None


def _resolve_mine(
    resolver: Resolver,
    declared: Declared,
    user: UserLockOptions,
    options: LockOptions,
    present: str,
) -> str:
    """Return the body of a lock of the user's own, for the resolver's interpreter."""
    environment = declared.manifest.environment
    arguments = [*(["--upgrade"] if options.upgrade else []), *user.resolver_arguments()]
    for package in environment.build:
        arguments += ["--no-binary", package]
    for package in options.upgrade_packages:
        arguments += ["--upgrade-package", package]
    overrides = (*environment.overrides, *user.overrides)
    try:
        return resolver.compile(
            environment.dependencies, arguments, overrides=overrides, present=present
        )
    except ProcessError as error:
        subject = f"the dependencies of {declared.name} do not resolve"
        raise _unresolved(error, declared.name, subject, user) from error


def _resolve_build(resolver: Resolver, declared: Declared, pins: Iterable[Pin]) -> str:
    """Return the body of `build.lock`: what building the packages in `build` needs.

    Raises:
        EnvironmentFailure: When a package to build is not in the lock, or its requirements cannot
            be found out or resolved.
    """
    name, environment = declared.name, declared.manifest.environment
    built = [pin for pin in pins if pin.name in environment.build]
    absent = sorted({*environment.build} - {pin.name for pin in built})
    if absent:
        raise EnvironmentFailure(
            f"{name} builds {', '.join(absent)}, which none of its packages needs",
            fix="take it out of environment.build",
        )
    try:
        project = environment_project(environment)
        known = resolver.lock(pinned_project(project, built)).files
        sources = [known[pin.name, pin.version].source for pin in built]
        needed = sorted(
            {
                requirement
                for source in sources
                if source is not None
                for requirement in build_requirements(source, resolver.variables)
            }
        )
        return resolver.lock(Project(project.python, project.platforms, tuple(needed))).body
    except ProcessError as error:
        subject = f"what {name} needs in order to build {', '.join(environment.build)}"
        raise _unresolved(error, name, f"{subject} does not resolve") from error


def _unresolved(
    error: ProcessError, name: str, subject: str, user: UserLockOptions | None = None
) -> EnvironmentFailure:
    own = ("--mine", *user.notes()) if user else ()
    command = " ".join(("mm env lock", name, *own))
    what = "choose other options" if user else "correct its manifest"
    otherwise = f"{what}, then run: {command}"
    return tool_failure(error, subject=subject, name=name, command=command, otherwise=otherwise)


def _no_lock(name: str, error: LockError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"the dependencies of {name} cannot be locked: the resolution {error.problem}",
        fix="name packages by version, not by URL or path",
    )


def _checked(declared: Declared, body: str, *, local: bool) -> tuple[Pin, ...]:
    """Return the pins of a lock; refuse (unless `local`) what only some indexes have."""
    name = declared.name
    try:
        pins = tuple(read_pins(body))
    except LockError as error:
        raise _no_lock(name, error) from error
    unusual = [
        f"{pin.name}=={pin.version}"
        for pin in pins
        if "+" in pin.version and not own_wheels(declared.wheels, [pin])
    ]
    if unusual and not local:
        raise EnvironmentFailure(
            f"the lock of {name} would name versions that only some indexes have: "
            f"{', '.join(unusual)}",
            fix=f"for a lock of your own, run: mm env lock --mine {name}",
        )
    return pins


def _write_if_changed(target: Path, text: str, *, mode: int = 0o644) -> bool:
    try:
        if target.is_file() and read_file(target) == text.encode("utf-8"):
            return False
        write_atomically(target, text.encode("utf-8"), mode=mode)
    except OSError as error:
        raise EnvironmentFailure(
            f"the lock cannot be written ({error.strerror})",
            where=str(target),
            fix=remedy(error, "make its directory writable"),
        ) from error
    return True
