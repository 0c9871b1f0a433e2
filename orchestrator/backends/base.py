"""What a backend is: two steps that make an environment and one that looks at it.

A backend builds in the directory that it is given and publishes nothing; locks, probes and the
marker are `orchestrator.environments`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.backends.installed import difference
from orchestrator.backends.toolenv import tool_variables
from orchestrator.system import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings

NEUTRAL = Path("/")
"""Where tools run: above every project, so that none's configuration is picked up by accident."""


@dataclass(frozen=True)
class Tooling:
    """What every step of a backend is given.

    Attributes:
        variables: The user's variables.
        indexes: Where packages come from.
        log: The file that the tools' words are appended to.
        on_line: Called with each of their lines.
        offline: Whether nothing may be fetched.
        keep: Descriptors of locks that the tools inherit.
        children: Where running tools are counted.
    """

    variables: Mapping[str, str]
    indexes: IndexSettings
    log: Path
    on_line: Callable[[str], None]
    offline: bool = False
    keep: Sequence[int] = ()
    children: processes.Children = field(default_factory=processes.Children)

    @property
    def allowed(self) -> dict[str, str]:
        """The part of the variables that tools get."""
        return tool_variables(self.variables)

    def run(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Run one tool to its end, logged.

        Raises:
            ProcessError: When it fails; `detail` holds all that it said.
        """
        processes.run_logged(
            command,
            variables=variables,
            log=self.log,
            on_line=self.on_line,
            cwd=NEUTRAL,
            keep=self.keep,
            children=self.children,
        )


@dataclass(frozen=True)
class Request:
    """What is to be installed.

    Attributes:
        requirements: A requirements file of exact pins with hashes, without markers.
        packages: The versions that must be there afterwards, by normalised name.
        build: Names of the only packages that may be built from source.
        build_constraints: The locked, hashed build requirements; None where nothing is built.
        torch: uv's `--torch-backend`, for a lock of the user's own; empty for none.
    """

    requirements: Path
    packages: Mapping[str, str]
    build: tuple[str, ...] = ()
    build_constraints: Path | None = None
    torch: str = ""


class Backend(Protocol):
    """One way to make a virtual environment and to fill it; each inherits the check."""

    name: str

    def create(self, interpreter: Path, directory: Path, tooling: Tooling) -> None:
        """Make a virtual environment of `interpreter` in `directory`, with no packages to import.

        Raises:
            ProcessError: When the tool fails.
        """

    def install(self, directory: Path, request: Request, tooling: Tooling) -> None:
        """Install exactly what `request` asks for: wheels only, every file checked by hash.

        Raises:
            ProcessError: When the tool fails.
        """

    def check(self, directory: Path, packages: Mapping[str, str]) -> str | None:
        """Return why `directory` does not hold exactly `packages`, or None when it does."""
        return difference(directory, packages)
