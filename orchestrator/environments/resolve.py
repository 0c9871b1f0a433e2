"""Writing locks: the resolver's work for `mm env lock`, and the proof for `--check`.

A committed lock must install anywhere, so what only this machine has (directories of files,
indexes on its disk, versions such as `2.6.0+cpu`) stays out of it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.core.lockfile import (
    Lock,
    LockError,
    applicable,
    parse_lock,
    render_lock,
    shape_digest,
)
from orchestrator.core.platforms import PLATFORMS, allowed_minors, lowest_python
from orchestrator.environments.advice import tool_failure
from orchestrator.environments.locks import load_lock
from orchestrator.errors import EnvironmentFailure
from orchestrator.home import write_atomically
from orchestrator.processes import Completed, ProcessError, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Environment
    from orchestrator.environments.declared import Declared
    from orchestrator.reporting import Reporter

OWN_PYTHON = getattr(sys, "_base_executable", "") or sys.executable
"""The interpreter that uv may ask where it wants one; what it says does not reach a lock."""


@dataclass(frozen=True)
class LockOptions:
    """How a lock is made.

    Attributes:
        upgrade: Whether newer versions may replace those in the present lock.
        upgrade_packages: Names of the only packages of which newer versions may.
        extra: Further arguments for the resolver, for a lock of the user's own.
        overrides: Further requirements that override, for the same.
        local: Whether what only this machine has may stand in the lock.
    """

    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    local: bool = False


@dataclass(frozen=True)
class Finding:
    """One platform and Python version for which a lock does not install; empty for the lock."""

    model: str
    place: str
    problem: str
    detail: str = ""


@dataclass(frozen=True)
class Resolver:
    """uv as a resolver.

    Attributes:
        variables: The user's variables.
        indexes: Where packages come from.
        reporter: Told what is being done.
        python: The interpreter that uv may ask.
    """

    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    python: str = field(default=OWN_PYTHON)

    def lock(self, declared: Declared, target: Path, options: LockOptions) -> bool:
        """Resolve the manifest of `declared` into the lock `target`.

        Returns:
            Whether the file changed.

        Raises:
            EnvironmentFailure: When the resolver fails (`detail` holds its explanation in full),
                the result is no lock for everybody, or the file cannot be written.
        """
        name = declared.manifest.name
        environment = declared.manifest.environment
        self.reporter.progress(name, "resolving")
        try:
            with scratch() as folder:
                body = self._compile(name, environment, target, options, folder)
        finally:
            self.reporter.finish(name)
        text = render_lock(
            body,
            shape=shape_digest(environment),
            command=f"mm env lock {'--mine ' if options.local else ''}{name}",
            notes=(*options.extra, *(f"--override {one}" for one in options.overrides)),
        )
        self._refuse(name, text, options)
        return write_if_changed(target, text)

    def check(self, declared: Declared, jobs: int = 4) -> list[Finding]:
        """Return for which platforms and Python versions the lock of `declared` lacks a wheel."""
        name = declared.manifest.name
        try:
            lock = load_lock(declared)
        except EnvironmentFailure as error:
            return [Finding(name, "", str(error))]
        environment = declared.manifest.environment
        places = [
            (platform, minor)
            for platform in environment.platforms or tuple(PLATFORMS)
            for minor in allowed_minors(environment.python)
        ]
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            found = pool.map(lambda place: self._check_one(name, lock, environment, *place), places)
            return [finding for finding in found if finding is not None]

    def run(self, arguments: Sequence[str], *, hashed: bool, cwd: Path) -> Completed:
        """Run `uv pip` with `arguments`, without any configuration but the user's indexes.

        Raises:
            ProcessError: When it fails.
        """
        variables = {
            **self.indexes.uv_variables(hashed=hashed),
            **tool_variables(self.variables),
        }
        command = [uv_binary(), "pip", *arguments, "--no-config", "--no-python-downloads"]
        return run([*command, "--python", self.python], variables=variables, cwd=cwd)

    def _compile(
        self,
        name: str,
        environment: Environment,
        target: Path,
        options: LockOptions,
        folder: Path,
    ) -> str:
        (folder / "manifest.in").write_text(lines(environment.dependencies), encoding="utf-8")
        overrides = (*environment.overrides, *options.overrides)
        (folder / "overrides.in").write_text(lines(overrides), encoding="utf-8")
        if target.is_file():
            # What stands in the present lock is kept wherever it still fits.
            present = target.read_text(encoding="utf-8", errors="replace")
            (folder / "locked.txt").write_text(present, encoding="utf-8")
        arguments = [
            "compile", "manifest.in", "--universal", "--generate-hashes", "--no-header",
            "--python-version", lowest_python(environment.python),
            "--only-binary", ":all:", "--output-file", "locked.txt",
        ]  # fmt: skip
        for package in environment.build:
            arguments += ["--no-binary", package]
        if overrides:
            arguments += ["--overrides", "overrides.in"]
        if options.upgrade:
            arguments += ["--upgrade"]
        for package in options.upgrade_packages:
            arguments += ["--upgrade-package", package]
        resolver = self if options.local else self._shared()
        try:
            resolver.run([*arguments, *options.extra], hashed=False, cwd=folder)
        except ProcessError as error:
            raise tool_failure(
                error,
                subject=f"the dependencies of {name} do not resolve",
                name=name,
                command=f"mm env lock {name}",
                otherwise=f"mend its manifest, then run: mm env lock {name}",
            ) from error
        return (folder / "locked.txt").read_text(encoding="utf-8")

    def _shared(self) -> Resolver:
        left_out = [place for place in self.indexes.find_links if place]
        if left_out:
            self.reporter.note(
                f"left out of the lock, because only this machine has it: {', '.join(left_out)}"
            )
        return Resolver(self.variables, self.indexes.shared(), self.reporter, self.python)

    def _refuse(self, name: str, text: str, options: LockOptions) -> None:
        try:
            lock = parse_lock(text)
        except LockError as error:
            raise EnvironmentFailure(
                f"the dependencies of {name} cannot be locked: the resolution {error.problem}",
                fix="name packages by version, not by URL or path",
            ) from error
        local = [f"{pin.name}=={pin.version}" for pin in lock.pins if "+" in pin.version]
        if local and not options.local:
            raise EnvironmentFailure(
                f"the lock of {name} would name versions that only some indexes have: "
                f"{', '.join(local)}",
                fix=f"for a lock of your own, run: mm env lock --mine {name}",
            )

    def _check_one(
        self, name: str, lock: Lock, environment: Environment, platform: str, minor: str
    ) -> Finding | None:
        place = f"{platform}, Python {minor}"
        pins = [pin for pin in lock.pins if pin.name not in environment.build]
        with scratch() as folder:
            (folder / "requirements.txt").write_text(locked_text(pins), encoding="utf-8")
            try:
                applicable(pins, marker_values(platform, minor))
                self.run(
                    [
                        "sync", "requirements.txt", "--dry-run", "--require-hashes",
                        "--allow-empty-requirements", "--only-binary", ":all:",
                        "--python-platform", PLATFORMS[platform].uv,  # type: ignore[index]
                        "--python-version", minor, "--target", str(folder / "nothing"),
                    ],
                    hashed=True,
                    cwd=folder,
                )  # fmt: skip
            except LockError as error:
                return Finding(name, place, f"the lock {error.problem}")
            except ProcessError as error:
                return Finding(name, place, "a package has no wheel", error.detail)
        return None


def marker_values(platform: str, minor: str) -> dict[str, str]:
    """Return the environment markers of CPython `minor` on `platform`, as far as locks use them."""
    facts = PLATFORMS[platform]  # type: ignore[index]
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{minor}.0",
        "os_name": "posix",
        "platform_machine": facts.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[facts.sys_platform],
        "platform_version": "",
        "python_full_version": f"{minor}.0",
        "python_version": minor,
        "sys_platform": facts.sys_platform,
    }


def locked_text(pins: Sequence[Pin]) -> str:
    """Return `pins` as requirements with their markers and hashes."""
    parts = []
    for pin in pins:
        marker = f" ; {pin.marker}" if pin.marker else ""
        hashes = "".join(f" \\\n    --hash={value}" for value in pin.hashes)
        parts.append(f"{pin.name}=={pin.version}{marker}{hashes}\n")
    return "".join(parts)


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


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a directory that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mm-lock-") as folder:
        yield Path(folder).resolve()


def lines(texts: Sequence[str]) -> str:
    """Return `texts` as the lines of a file."""
    return "".join(f"{text}\n" for text in texts)
