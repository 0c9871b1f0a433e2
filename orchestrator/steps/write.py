"""Step `write`: a value into a file that the pipeline names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.core.manifest import Input
from orchestrator.core.paths import given_path
from orchestrator.core.pipelines.step_signatures import ANY, Kind, Port
from orchestrator.errors import UsageError
from orchestrator.jobs.cancellation import Cancellation
from orchestrator.jobs.output_files import write_output
from orchestrator.jobs.results import Artifact
from orchestrator.steps.step import BuiltIn, Emit, Emits, signature


def write(value: Any, path: Path) -> None:
    """Write `value` to `path`, whole or not at all; directories above it are made.

    Args:
        value: A path is copied, text is written with a newline at its end, anything else as JSON.
        path: The file; relative to the working directory.

    Raises:
        UsageError: When it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, Artifact(value) if isinstance(value, Path) else value)
    except OSError as error:
        raise UsageError(f"cannot be written ({error.strerror})", where=str(path)) from error


def _run(values: Mapping[str, Any], directory: Path, _: Cancellation) -> Emits:
    del directory
    path = given_path(values["path"], "path").expanduser().absolute()
    write(values["value"], path)
    yield Emit("file", path, values["path"])


STEP = BuiltIn(
    signature(
        "write",
        {
            "value": Port(Kind(ANY), required=True),
            "path": Input(type="text", required=True, help="The file to write"),
        },
        file="file",
    ),
    _run,
    kept=False,
)
