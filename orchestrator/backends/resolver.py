"""uv beside the builds: resolving, trying an installation, fetching an interpreter.

It reads no configuration but the user's indexes, and works in a directory of its own.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from orchestrator.backends.base import NEUTRAL
from orchestrator.backends.tool_failures import is_transient, tool_failure
from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.core.lockfile import requirements_text
from orchestrator.core.platforms import PLATFORMS, UV_MACOS
from orchestrator.core.uv_project import lock_body, preferences_text, read_uv_lock
from orchestrator.system.hashing import sha256_of
from orchestrator.system.home import make_private, write_atomically
from orchestrator.system.processes import ProcessError, run, run_logged
from orchestrator.system.reporter import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.lockfile import Pin
    from orchestrator.core.manifest import Platform
    from orchestrator.core.uv_project import Project
    from orchestrator.core.wheels import PackageFile, PackageFiles
    from orchestrator.system.processes import Children, Completed
    from orchestrator.system.reporter import Reporter

OWN_PYTHON = getattr(sys, "_base_executable", "") or sys.executable
"""The interpreter that uv may ask where it wants one; what it says does not reach a shared lock."""

_EXPORT = ("--frozen", "--no-emit-project", "--no-header", "--format", "requirements.txt")


class Resolution(NamedTuple):
    """What a project resolves to.

    Attributes:
        body: The body of its lock.
        files: What the index has of each package, by normalised name and version.
    """

    body: str
    files: Mapping[tuple[str, str], PackageFiles]


@dataclass(frozen=True)
class Resolver:
    """uv as a resolver.

    Attributes:
        variables: The user's variables.
        indexes: Where packages come from.
        reporter: Receives progress.
        python: The interpreter that uv may ask.
        timeout: Seconds that each call may take; None for any number.
        children: Where running tools are counted, so that another thread can end them.
    """

    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    python: str = OWN_PYTHON
    timeout: float | None = None
    children: Children | None = None

    def shared(self, *folders: Path) -> Resolver:
        """Return a resolver for locks that must install anywhere; notes what it leaves out.

        Args:
            *folders: The models' own folders of wheels, which travel with them.
        """
        if self.indexes.find_links:
            self.reporter.note(
                "left out of the lock, because only this machine has it: "
                f"{', '.join(self.indexes.find_links)}"
            )
        return replace(self, indexes=self.indexes.shared(*folders))

    def lock(
        self, project: Project, *arguments: str, present: Iterable[Pin] = (), hashed: bool = False
    ) -> Resolution:
        """Return what `uv lock` makes of `project`; nothing is built that it does not name.

        Args:
            project: What is locked.
            *arguments: Further arguments.
            present: Pins whose versions are kept wherever they fit.
            hashed: Whether every file is checked by hash (`IndexSettings.uv_variables`).

        Raises:
            ProcessError: When it does not resolve.
        """
        files = {"pyproject.toml": project.text(), "uv.lock": preferences_text(present)}
        with self._folder(files) as folder:
            self._run(folder, "lock", "--quiet", *project.arguments(), *arguments, hashed=hashed)
            exported = self._run(folder, "export", *_EXPORT).stdout
            written = (folder / "uv.lock").read_text(encoding="utf-8")
            known = _hashed_files(read_uv_lock(written, folder))
            return Resolution(lock_body(exported, project, known), known)

    def newest(self, requirement: str, platform: Platform, minor: str) -> str | None:
        """Return the newest version that has a wheel for a platform and a Python, or None.

        Args:
            requirement: The package, and what bounds its version.
            platform: The platform.
            minor: The version of Python.

        Raises:
            ProcessError: When the index cannot be asked.
        """
        place = ("--python-platform", PLATFORMS[platform].uv, "--python-version", minor)
        only = ("--no-deps", "--no-annotate", "--only-binary", ":all:")
        try:
            text = self._compile((requirement,), *only, *place)
        except ProcessError as error:
            if is_transient(error):
                raise
            return None
        return text.partition("==")[2].split()[0]

    def compile(
        self,
        requirements: Iterable[str],
        arguments: Sequence[str],
        *,
        overrides: Sequence[str] = (),
        present: str = "",
    ) -> str:
        """Return the body of a lock for this resolver's own interpreter and machine.

        Args:
            requirements: What is asked for.
            arguments: Further arguments of `uv pip compile`.
            overrides: Requirements that override.
            present: A lock whose versions are kept wherever they fit.

        Raises:
            ProcessError: When they do not resolve.
        """
        only = ("--generate-hashes", "--only-binary", ":all:")
        files = {"locked.txt": present} if present else {}
        if overrides:
            files["overrides.in"] = _lines(overrides)
            arguments = (*arguments, "--overrides", "overrides.in")
        return self._compile(requirements, *only, *arguments, files=files)

    def _compile(
        self, requirements: Iterable[str], *arguments: str, files: Mapping[str, str] | None = None
    ) -> str:
        command = ("pip", "compile", "manifest.in", "--no-header", "--output-file", "locked.txt")
        with self._folder({**(files or {}), "manifest.in": _lines(requirements)}) as folder:
            self._run(folder, *command, *arguments)
            return (folder / "locked.txt").read_text(encoding="utf-8")

    def try_install(self, pins: Iterable[Pin], *command: str) -> str:
        """Run an installation of wheels as far as it goes without doing it; return uv's log.

        Args:
            pins: What `requirements.txt` holds, with hashes.
            *command: The command and its arguments.

        Raises:
            ProcessError: When the installation would fail.
        """
        dry = ["--dry-run", "--require-hashes", "--only-binary", ":all:", "--target", "nothing"]
        files = {"requirements.txt": requirements_text(pins)}
        with self._folder(files) as folder:
            return self._run(folder, "pip", *command, *dry, hashed=True).stderr

    @contextmanager
    def _folder(self, files: Mapping[str, str]) -> Iterator[Path]:
        """Yield a new directory with `files`, where no project's files lie."""
        with tempfile.TemporaryDirectory(prefix="mm-lock-") as name:
            folder = Path(name).resolve()
            for file, text in files.items():
                (folder / file).write_text(text, encoding="utf-8")
            yield folder

    def _run(self, folder: Path, *arguments: str, hashed: bool = False) -> Completed:
        """Run uv in `folder`."""
        variables = {
            **self.indexes.uv_variables(hashed=hashed),
            **tool_variables(self.variables),
            **UV_MACOS,
        }
        own = ("--no-config", "--no-python-downloads", "--python", self.python)
        command = [uv_binary(), *arguments, *own]
        return run(
            command,
            variables=variables,
            cwd=folder,
            timeout=self.timeout,
            children=self.children,
        )


def install_python(
    specifier: str, variables: Mapping[str, str], log: Path, reporter: Reporter
) -> None:
    """Let uv fetch the newest Python that fits `specifier` into its own directory.

    Only `--install-python` asks for this.

    Raises:
        EnvironmentFailure: When it cannot be had.
    """
    environment = {
        **tool_variables(variables),
        "UV_PYTHON_DOWNLOADS": "manual",
        "UV_PYTHON_INSTALL_BIN": "0",
    }
    key = f"Python {specifier}"
    make_private(log.parent)
    write_atomically(log, b"", mode=0o600)
    try:
        with progress(reporter, key, "downloading"):
            run_logged(
                [uv_binary(), "python", "install", "--no-config", specifier],
                variables=environment,
                log=log,
                on_line=lambda line: reporter.progress(key, line),
                cwd=NEUTRAL,
            )
    except ProcessError as error:
        raise tool_failure(
            error,
            subject=f"Python {specifier} could not be installed",
            name=specifier,
            command="mm env sync --install-python",
            log=str(log),
        ) from error


def _hashed_files(
    files: Mapping[tuple[str, str], PackageFiles],
) -> dict[tuple[str, str], PackageFiles]:
    """Return `files` with the hashes of wheels on this disk, which uv does not name.

    Raises:
        OSError: When one cannot be read.
    """
    return {
        key: known._replace(wheels=tuple(map(_hashed, known.wheels)))
        for key, known in files.items()
    }


def _hashed(file: PackageFile) -> PackageFile:
    parts = urlsplit(file.url)
    if file.sha256 or parts.scheme != "file":
        return file
    return file._replace(sha256=sha256_of(Path(unquote(parts.path))))


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
