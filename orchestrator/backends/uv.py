"""The default backend: the binary of the package `uv`.

Files are shared between environments through uv's cache, by links, as long as a requirements file
with hashes is installed; its `pylock.toml` route would take full copies.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.backends.base import Backend
from orchestrator.errors import EnvironmentFailure

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.backends.base import Request, Tooling


_FINDING = threading.Lock()
"""`sysconfig`, which knows where binaries are, must not be initialised by two threads at once."""


def uv_binary() -> str:
    """Return the path of the uv that the package `uv` brought.

    Raises:
        EnvironmentFailure: When it is not there.
    """
    with _FINDING:
        return _find()


@lru_cache(maxsize=1)
def _find() -> str:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise EnvironmentFailure(
            "the uv that belongs to mm is missing", fix="run: pip install --force-reinstall uv"
        ) from error


def uv_variables(tooling: Tooling) -> dict[str, str]:
    """Return uv's whole environment; what the user set beats what a file of uv's says."""
    return {
        **tooling.indexes.uv_variables(hashed=True),
        **tooling.allowed,
        **({"UV_OFFLINE": "1"} if tooling.offline else {}),
    }


class UvBackend(Backend):
    """Environments made by `uv venv` and `uv pip sync`."""

    name = "uv"

    def create(self, interpreter: Path, directory: Path, tooling: Tooling) -> None:
        """Make a virtual environment without seed packages."""
        tooling.run(
            [
                uv_binary(), "venv", "--no-project", "--no-config", "--no-python-downloads",
                "--allow-existing", "--python", str(interpreter), str(directory),
            ],
            uv_variables(tooling),
        )  # fmt: skip

    def install(self, directory: Path, request: Request, tooling: Tooling) -> None:
        """Install with `uv pip sync`; its words about links and caches go to the log."""
        command = [
            uv_binary(), "pip", "sync", "--no-config", "--no-python-downloads",
            "--python", str(directory / "bin" / "python"),
            "--require-hashes", "--only-binary", ":all:",
        ]  # fmt: skip
        for name in request.build:
            command += ["--no-binary", name]
        if request.build_constraints is not None:
            command += ["--build-constraints", str(request.build_constraints)]
            command += ["--require-build-hashes"]
        if request.torch:
            command += ["--torch-backend", request.torch]
        if not request.packages:
            command += ["--allow-empty-requirements"]
        tooling.run([*command, str(request.requirements)], uv_variables(tooling))
