"""Converts a model's weights once, by its runner's `convert`, in a worker of its environment."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict, replace

from orchestrator.catalog import Declared
from orchestrator.catalog.runners import wrapped
from orchestrator.core.manifest import QUANTIZED, Input, Output
from orchestrator.core.runner_check import names_bound
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.errors import OutputError, UsageError
from orchestrator.jobs.cancellation import asked_to_stop
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.session_models import choice_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.jobs.job import Event
    from orchestrator.sources.model_files import SourceRecord
    from orchestrator.workspace import Workspace

CONVERT = "convert"

RUNNER = """\
from . import {name} as runner


def load(context):
    return context


def run(context, job, *, directory, precision):
    return {{"kept": list(runner.convert(context, job, directory, precision))}}
"""
"""A runner around a model's own, which becomes a module of it."""


class _Converting(Declared, frozen=True):
    """A model whose jobs convert its weights."""

    def read_runner(self) -> dict[str, str]:
        return wrapped(super().read_runner(), RUNNER)


def convert(
    workspace: Workspace,
    declared: Declared,
    precision: str,
    cancellation: Cancellation | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> tuple[SourceRecord, bool]:
    """Return the record of a model's converted weights, and whether they were made now.

    Args:
        workspace: The user's world.
        declared: The model, whose original weights are here.
        precision: The data type.
        cancellation: Asks it to stop.
        on_event: Called with what the runner reports meanwhile.

    Raises:
        UsageError: When the model has no such weights, or its runner converts none.
        MMError: As the job ends.
    """
    manifest = declared.manifest
    offered = list(manifest.weights)
    first = next(iter(declared.read_runner().values()))
    if not offered or CONVERT not in names_bound(ast.parse(first)):
        raise UsageError(f"the weights of {declared.name} are not converted: they run as they are")
    if precision not in offered:
        raise UsageError(
            f"{declared.name} has no weights of {precision}",
            fix=f"choose --precision {'|'.join(offered)}",
        )
    # A worker with the original weights is as large as one that runs them.
    memory = {
        device: {dtype: size for dtype, size in sizes.items() if dtype not in QUANTIZED}
        for device, sizes in manifest.memory.items()
    }
    inputs = {name: Input(type="text", required=True) for name in ("directory", "precision")}
    manifest = replace(
        manifest, weights={}, memory=memory, inputs=inputs, outputs={"kept": Output(type="json")}
    )
    model = _Converting(**{**asdict(declared), "manifest": manifest})
    LocalPreparer(workspace).check(model, "auto", "auto")

    def fill(directory: Path) -> list[str]:
        given = {"directory": str(directory), "precision": precision}
        job = Job(declared.name, given, cancellation=cancellation, on_event=on_event)
        job = replace(job, models={choice_key(job): model})
        with Session(workspace=workspace) as session:
            kept = session.execute(job)["kept"]
        try:
            return msgspec.convert(kept, list[str])
        except msgspec.ValidationError as error:
            raise OutputError(f"convert returned no names of files: {error}") from error

    stopped = asked_to_stop(cancellation)
    return workspace.sources.convert(declared, precision, fill, stopped=stopped)
