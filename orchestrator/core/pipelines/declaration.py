"""A pipeline's YAML as frozen records: inputs, steps and outputs, with their references as text.

A pipeline written in Python is made of the same records; what they mean together is checked in
`orchestrator.core.pipelines.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from orchestrator.core.manifest import Input
from orchestrator.core.record_reader import Problem, record_in
from orchestrator.core.yaml_document import Path, dotted, parse

Where = Callable[[Path], str]
"""Returns where a value of a pipeline was written: `file:line: key`."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step: a model, a task or a built-in transform, and what it is given."""

    id: str
    """What references call it; letters, digits and `_`."""
    run: str
    """A task, a model or a built-in step."""
    with_: dict[str, Any] = msgspec.field(default={}, name="with")
    """Inputs by name: values, and references to other values."""
    foreach: str | None = None
    """A reference to a list; the step runs once for each of its items."""
    workers: int = 1
    """How many items may run at once."""
    model: str | None = None
    """The model that stands for the task."""
    device: str = "auto"
    dtype: str = "auto"
    timeout: float | None = None
    """Seconds that one run may take, instead of the manifest's."""


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pipeline, as its YAML file or a program declares it."""

    name: str
    inputs: dict[str, Input] = {}
    steps: tuple[Step, ...]
    outputs: dict[str, str]
    """A reference for each output; the first output is the primary one."""
    summary: str = ""


def read_pipeline(data: bytes, *, file: str, stem: str) -> tuple[Declaration, Where]:
    """Return the pipeline in `data`, the content of `file`, and how to find the lines of its parts.

    Only what stands by itself is checked here.

    Args:
        data: The file's content.
        file: The file, as messages name it.
        stem: Its name without `.yaml`.

    Raises:
        ManifestError: With file, line and key of the first problem.
    """
    document = parse(data, file)
    return record_in(document, stem, Declaration, _problems), document.where


def _problems(declared: Declaration) -> Iterator[Problem]:
    if not declared.summary.isprintable():
        yield Problem(("summary",), "holds a control character")


def written_in_python(name: str) -> Where:
    """Return the `Where` of a pipeline that no file declares."""
    return lambda path: f"pipeline {name}: {dotted(path)}" if path else f"pipeline {name}"
