"""Making a wheel of the user's own: what `mm env wheel` does.

A wheel is made once and from then on installed as any other, by its hash. What it is built from,
and with, is not looked at again: building a package runs its code.
"""

from __future__ import annotations

import shlex
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import NamedTuple

from orchestrator.backends.base import NEUTRAL
from orchestrator.backends.indexes import IndexSettings
from orchestrator.backends.tool_failures import tool_failure
from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.catalog import Declared
from orchestrator.catalog.own_wheels import SUFFIX
from orchestrator.core.git_requirement import PREFIX, GitRequirement, read_git_requirement
from orchestrator.errors import EnvironmentFailure, UsageError
from orchestrator.system.copying import copy_file
from orchestrator.system.home import make_private, write_atomically
from orchestrator.system.processes import ProcessError, run_logged
from orchestrator.system.reporter import Reporter, progress

_GIT = ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL")
"""The user's variables that git gets beside those of every tool."""


class Kept(NamedTuple):
    """A wheel in a model's folder: its path, and whether it was `written`, `changed` or neither."""

    path: Path
    state: str


@dataclass(frozen=True)
class WheelBuilder:
    """Makes wheels for one model.

    Attributes:
        declared: The model.
        variables: The user's variables.
        indexes: Where the requirements of a build come from.
        reporter: Receives progress.
        log: The file that the tools' words are written to.
        python: Returns the interpreter to build with.
    """

    declared: Declared
    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    log: Path
    python: Callable[[], str]

    def add(self, requirement: str, cwd: Path) -> Kept:
        """Put the wheel of `requirement` into the model's folder, unless one with its content is.

        Args:
            requirement: A directory with a `pyproject.toml`, a wheel, or `git+URL@COMMIT`.
            cwd: What paths are relative to.

        Raises:
            UsageError: When it is none of these.
            EnvironmentFailure: When it cannot be fetched, built or written.
        """
        git = read_git_requirement(requirement) if requirement.startswith(PREFIX) else None
        given = cwd / Path(requirement).expanduser()
        make_private(self.log.parent)
        write_atomically(self.log, b"", mode=0o600)
        with tempfile.TemporaryDirectory(prefix="mm-wheel-") as name:
            folder = Path(name)
            if git is not None:
                source = self._fetch(git, folder / "source")
                wheel = self._build(requirement, source, folder / "wheels")
            elif given.is_dir():
                wheel = self._build(requirement, given.resolve(), folder / "wheels")
            elif given.is_file() and given.suffix == SUFFIX:
                wheel = given
            else:
                what = f"no directory, no wheel and no {PREFIX}https://…@COMMIT"
                raise UsageError(what, where=requirement, fix="name one of them")
            return self._keep(wheel, built=wheel != given)

    def _fetch(self, git: GitRequirement, folder: Path) -> Path:
        """Return the package's directory in a checkout of its commit."""
        program = which("git", path=self.variables.get("PATH"))
        if program is None:
            raise EnvironmentFailure(
                f"git, which fetches {git.url}, is not there",
                fix="install it, or name a directory or a wheel",
            )
        own = {name: self.variables[name] for name in _GIT if name in self.variables}
        variables = {**tool_variables(self.variables), **own, "GIT_TERMINAL_PROMPT": "0"}

        def run(*arguments: str) -> None:
            self._run([program, *arguments], variables)

        there = ("-C", str(folder))
        check_out = (*there, "checkout", "--quiet", "--detach", git.commit)
        try:
            with progress(self.reporter, self.declared.name, f"fetching {git.url}"):
                run("clone", "--quiet", "--no-checkout", "--", git.url, str(folder))
                try:
                    run(*check_out)
                except ProcessError:  # on no branch
                    run(*there, "fetch", "--quiet", "origin", git.commit)
                    run(*check_out)
                run(*there, "submodule", "--quiet", "update", "--init", "--recursive")
        except ProcessError as error:
            raise EnvironmentFailure(
                f"commit {git.commit[:12]} of {git.url} could not be fetched",
                fix="check the address, the commit and your access to them",
                detail=error.detail,
            ) from error
        return folder / git.subdirectory

    def _build(self, requirement: str, source: Path, folder: Path) -> Path:
        """Return the wheel of the package in `source`, built in an environment of its own."""
        if not (source / "pyproject.toml").is_file():
            raise UsageError("no pyproject.toml in it", where=requirement, fix="name its folder")
        model = self.declared.name
        command = [
            uv_binary(), "build", "--wheel", "--no-config", "--no-sources", "--no-python-downloads",
            "--python", self.python(), "--out-dir", str(folder), str(source),
        ]  # fmt: skip
        variables = {
            **self.indexes.uv_variables(hashed=False),
            **tool_variables(self.variables),
        }
        try:
            with progress(self.reporter, model, f"building {requirement}"):
                self._run(command, variables)
        except ProcessError as error:
            again = f"mm env wheel {shlex.quote(requirement)} {model}"
            raise tool_failure(
                error,
                subject=f"{requirement} could not be built",
                name=model,
                command=again,
                log=str(self.log),
                otherwise=f"correct it, then run: {again} (log: {self.log})",
            ) from error
        return next(folder.glob(f"*{SUFFIX}"))

    def _run(self, command: list[str], variables: Mapping[str, str]) -> None:
        def show(line: str) -> None:
            self.reporter.progress(self.declared.name, line)

        run_logged(command, variables=variables, log=self.log, on_line=show, cwd=NEUTRAL)

    def _keep(self, wheel: Path, *, built: bool) -> Kept:
        """Copy a wheel into the model's folder; one with the same content stays as it is."""
        target = self.declared.wheels / wheel.name
        content = wheel_content(wheel)
        there = target.is_file()
        try:
            # Builds put the time into the archive, so that bytes differ where contents do not.
            with suppress(UsageError):  # what is there is damaged
                if there and wheel_content(target) == content:
                    return Kept(target, "unchanged")
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(wheel, target, ours=built)
        except OSError as error:
            raise EnvironmentFailure(
                f"the wheel cannot be written ({error.strerror})",
                where=str(target),
                fix="make its directory writable",
            ) from error
        return Kept(target, "changed" if there else "written")


def wheel_content(path: Path) -> list[tuple[str, int, int]]:
    """Return the files of a wheel, sorted: their names, checksums and sizes.

    Raises:
        UsageError: When it is no wheel.
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            return sorted((one.filename, one.CRC, one.file_size) for one in archive.filelist)
    except (InvalidWheelFilename, zipfile.BadZipFile) as error:
        raise UsageError(f"not a wheel ({error})", where=str(path)) from error
