"""`--install-python`: uv fetches an interpreter; nothing else ever does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.backends.base import NEUTRAL
from orchestrator.backends.toolenv import tool_variables
from orchestrator.backends.uv import uv_binary
from orchestrator.environments.advice import tool_failure
from orchestrator.home import make_private, write_atomically
from orchestrator.processes import ProcessError, run_logged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.reporting import Reporter


def install_python(
    specifier: str, variables: Mapping[str, str], log: Path, reporter: Reporter
) -> None:
    """Let uv fetch the newest Python that fits `specifier` into its own directory.

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
    reporter.progress(key, "downloading")
    try:
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
    finally:
        reporter.finish(key)
