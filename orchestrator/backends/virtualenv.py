"""The second backend: the package `virtualenv`, and pip with `--require-hashes`.

For machines where uv does not run, and to prove that nothing depends on uv alone. Every
environment takes a full copy of its packages.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestrator.backends.base import Backend
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.backends.base import Request, Tooling


class VirtualenvBackend(Backend):
    """Environments made by `virtualenv`, filled by their own pip."""

    name = "virtualenv"

    def create(self, interpreter: Path, directory: Path, tooling: Tooling) -> None:
        """Make a virtual environment that holds the pip which virtualenv carries, and no more."""
        tooling.run(
            [
                # Not -I: an mm that was installed for one user alone has its packages there.
                sys.executable, "-m", "virtualenv", "--python", str(interpreter), "--no-download",
                "--no-periodic-update", "--no-setuptools", "--no-vcs-ignore", str(directory),
            ],
            tooling.allowed,
        )  # fmt: skip

    def install(self, directory: Path, request: Request, tooling: Tooling) -> None:
        """Install with the environment's own pip, which is taken out again unless it is locked.

        Raises:
            EnvironmentFailure: When a torch backend is asked for, whose index uv alone knows.
        """
        if request.torch:
            raise EnvironmentFailure(
                f"the backend virtualenv does not know the torch backend {request.torch!r}",
                fix="use --backend uv",
            )
        variables = {
            **tooling.indexes.pip_variables(tooling.variables),
            **tooling.allowed,
            **({"PIP_NO_INDEX": "1"} if tooling.offline else {}),
            # As a variable it reaches the pip that installs build requirements as well.
            "PIP_REQUIRE_HASHES": "1",
        }
        pip = [str(directory / "bin" / "python"), "-I", "-m", "pip"]
        if request.packages:
            command = [
                *pip, "install", "--no-deps", "--require-hashes", "--no-compile",
                "--ignore-installed", "--no-warn-script-location", "--only-binary", ":all:",
            ]  # fmt: skip
            for name in request.build:
                command += ["--no-binary", name]
            if request.build_constraints is not None:
                command += ["--build-constraint", str(request.build_constraints)]
            tooling.run([*command, "--requirement", str(request.requirements)], variables)
        if "pip" not in request.packages:
            tooling.run([*pip, "uninstall", "--yes", "pip"], variables)
