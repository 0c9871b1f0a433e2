"""uv as a resolver: one way to run it, without any configuration but the user's indexes."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.processes import Completed, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.backends.indexes import IndexSettings
    from orchestrator.core.lockfile import Pin
    from orchestrator.reporting import Reporter

OWN_PYTHON = getattr(sys, "_base_executable", "") or sys.executable
"""The interpreter that uv may ask where it wants one; what it says does not reach a shared lock."""


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

    def run(self, arguments: Sequence[str], *, hashed: bool, cwd: Path) -> Completed:
        """Run `uv pip` with `arguments` in the directory `cwd`.

        Args:
            arguments: What uv is told.
            hashed: Whether every file is checked by hash (`IndexSettings.uv_variables`).
            cwd: A directory of ours, so that no project's files lie there.

        Raises:
            ProcessError: When it fails.
        """
        variables = {
            **self.indexes.uv_variables(hashed=hashed),
            **tool_variables(self.variables),
        }
        command = [uv_binary(), "pip", *arguments, "--no-config", "--no-python-downloads"]
        return run([*command, "--python", self.python], variables=variables, cwd=cwd)

    def shared(self) -> Resolver:
        """Return a resolver for locks that must install anywhere; says what it leaves out."""
        if self.indexes.find_links:
            self.reporter.note(
                "left out of the lock, because only this machine has it: "
                f"{', '.join(self.indexes.find_links)}"
            )
        return Resolver(self.variables, self.indexes.shared(), self.reporter, self.python)


def locked_text(pins: Sequence[Pin]) -> str:
    """Return `pins` as requirements with their markers and hashes."""
    parts = []
    for pin in pins:
        marker = f" ; {pin.marker}" if pin.marker else ""
        hashes = "".join(f" \\\n    --hash={value}" for value in pin.hashes)
        parts.append(f"{pin.name}=={pin.version}{marker}{hashes}\n")
    return "".join(parts)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a directory that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mm-lock-") as folder:
        yield Path(folder).resolve()


def lines(texts: Sequence[str]) -> str:
    """Return `texts` as the lines of a file."""
    return "".join(f"{text}\n" for text in texts)
