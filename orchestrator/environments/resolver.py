"""uv beside the builds: resolving, trying an installation, fetching an interpreter.

It reads no configuration but the user's indexes, and works in a directory of its own.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.base import NEUTRAL
from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.core.lockfile import requirements_text
from orchestrator.environments.package_files import PackageFile, read_pylock
from orchestrator.environments.tool_failures import tool_failure
from orchestrator.system.home import make_private, write_atomically
from orchestrator.system.processes import ProcessError, run, run_logged
from orchestrator.system.reporter import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.lockfile import Pin
    from orchestrator.system.reporter import Reporter

OWN_PYTHON = getattr(sys, "_base_executable", "") or sys.executable
"""The interpreter that uv may ask where it wants one; what it says does not reach a shared lock."""


@dataclass(frozen=True)
class Resolver:
    """uv as a resolver.

    Attributes:
        variables: The user's variables.
        indexes: Where packages come from.
        reporter: Receives progress.
        python: The interpreter that uv may ask.
    """

    variables: Mapping[str, str]
    indexes: IndexSettings
    reporter: Reporter
    python: str = field(default=OWN_PYTHON)

    def shared(self) -> Resolver:
        """Return a resolver for locks that must install anywhere; notes what it leaves out."""
        if self.indexes.find_links:
            self.reporter.note(
                "left out of the lock, because only this machine has it: "
                f"{', '.join(self.indexes.find_links)}"
            )
        return replace(self, indexes=self.indexes.shared())

    def compile(
        self,
        requirements: Iterable[str],
        arguments: Sequence[str],
        *,
        overrides: Sequence[str] = (),
        present: str = "",
    ) -> str:
        """Return what `uv pip compile` makes of `requirements`; nothing is built from source.

        Args:
            requirements: What is asked for.
            arguments: Further arguments.
            overrides: Requirements that override.
            present: A lock whose versions are kept wherever they fit.

        Raises:
            ProcessError: When they do not resolve.
        """
        files = {"manifest.in": _lines(requirements)}
        command = ["compile", "manifest.in", "--no-header", "--only-binary", ":all:", *arguments]
        if present:
            files["locked.txt"] = present
        if overrides:
            files["overrides.in"] = _lines(overrides)
            command += ["--overrides", "overrides.in"]
        return self._pip(command, files, output="locked.txt")[1]

    def files_of(self, pins: Iterable[Pin], kind: str, *arguments: str) -> list[PackageFile]:
        """Return the file of each pin that uv would take: its first wheel, or its source.

        Args:
            pins: Pins of a lock.
            kind: `wheels` or `sdist`.
            *arguments: For which Python and platform.

        Raises:
            ProcessError: When a package has no such file.
        """
        others = "--only-binary" if kind == "wheels" else "--no-binary"
        command = ["compile", "locked.in", "--no-deps", "--no-annotate", others, ":all:"]
        files = {"locked.in": requirements_text(pins, markers=True)}
        folder, text = self._pip([*command, *arguments], files, output="pylock.toml")
        return read_pylock(text, folder, kind)

    def try_install(self, pins: Iterable[Pin], *command: str) -> str:
        """Run an installation of wheels as far as it goes without doing it; return uv's log.

        Args:
            pins: What `requirements.txt` holds, with hashes.
            *command: The command and its arguments.

        Raises:
            ProcessError: When the installation would fail.
        """
        dry = ["--dry-run", "--require-hashes", "--only-binary", ":all:", "--target", "nothing"]
        files = {"requirements.txt": requirements_text(pins, markers=True)}
        return self._pip([*command, *dry], files, hashed=True)[1]

    def _pip(
        self,
        arguments: Sequence[str],
        files: Mapping[str, str],
        *,
        output: str = "",
        hashed: bool = False,
    ) -> tuple[Path, str]:
        """Run `uv pip` in a new directory, where no project's files lie.

        Args:
            arguments: What follows `uv pip`.
            files: Contents of the directory, by name.
            output: The file to write; empty for none.
            hashed: Whether every file is checked by hash (`IndexSettings.uv_variables`).

        Returns:
            The directory, which is gone, and the text of the output, or uv's log.
        """
        variables = {**self.indexes.uv_variables(hashed=hashed), **tool_variables(self.variables)}
        command = [uv_binary(), "pip", *arguments, "--no-config", "--no-python-downloads"]
        command += ["--python", self.python, *(["--output-file", output] if output else [])]
        with tempfile.TemporaryDirectory(prefix="mm-lock-") as name:
            folder = Path(name).resolve()
            for file, text in files.items():
                (folder / file).write_text(text, encoding="utf-8")
            log = run(command, variables=variables, cwd=folder).stderr
            return folder, (folder / output).read_text(encoding="utf-8") if output else log


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


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
