"""A job whose model also gives the arrays on the way to its outputs, by its runner's `trace`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

from orchestrator.catalog import Declared
from orchestrator.catalog.runners import wrapped
from orchestrator.comparison.arrays import Array
from orchestrator.core.manifest import Output
from orchestrator.core.runner_check import names_bound
from orchestrator.jobs.job import Event, Job
from orchestrator.session_models import choice_key

if TYPE_CHECKING:
    from orchestrator.session import Session

NAMES, ARRAYS = "traced_names", "traced_arrays"

RUNNER = """\
from . import {name} as runner

check = getattr(runner, "check", None)


def load(context):
    if {tiny!r}:
        context.model_dir = {tiny!r}
        runner.miniature(context, context.model_dir)
    return runner.load(context)


def run(model, job, **inputs):
    outputs, names = {outputs}, []
    for name, array in runner.trace(model, job, **inputs).items():
        if array is not None:
            names.append(name)
            job.emit("{arrays}", array)
    return {{**outputs, "{names}": names}}
"""
"""A runner around a model's own, which becomes a module of it."""

SMALL = "1 GiB"
"""The memory that a miniature needs, torch included."""

OWN_RUN = "runner.run(model, job, **inputs)"


@dataclass(frozen=True)
class TracedJob:
    """What a job gave.

    Attributes:
        outputs: The model's own outputs.
        arrays: What its `trace` returned, in that order; empty where it has none.
        seconds: How long the job took, load included.
    """

    outputs: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    seconds: float = 0.0


class _Traced(Declared, frozen=True):
    """A model whose jobs trace it as well; `tiny` is where its miniature is written, if at all."""

    runs: bool = True
    tiny: str = ""

    def read_runner(self) -> dict[str, str]:
        outputs = OWN_RUN if self.runs else "{}"
        words = {"outputs": outputs, "names": NAMES, "arrays": ARRAYS, "tiny": self.tiny}
        return wrapped(super().read_runner(), RUNNER, **words)


def has_function(files: Mapping[str, str], name: str) -> bool:
    """Return whether a runner has a function, from its texts by path, the first first."""
    return name in names_bound(ast.parse(next(iter(files.values()))))


def as_miniature(declared: Declared) -> Declared:
    """Return a model as its miniature is: without files, and with little memory."""
    manifest = declared.manifest
    memory = {device: dict.fromkeys(sizes, SMALL) for device, sizes in manifest.memory.items()}
    manifest = replace(manifest, source=None, patches=(), memory=memory)
    return replace(declared, manifest=manifest)


def run_traced(
    session: Session, declared: Declared, job: Job, *, runs: bool = True, miniature: bool = False
) -> TracedJob:
    """Run a job, and trace it where the model's runner can.

    Args:
        session: The session; a worker of the job's own stays as long as it does.
        declared: The model.
        job: The job, which names the model.
        runs: Whether the outputs are wanted, beside the arrays.
        miniature: Whether the worker loads what the runner's `miniature` writes: a tiny checkpoint
            of the model's architecture, with random weights, in place of the model's files.

    Raises:
        MMError: As the job ends.
    """
    manifest, traces = declared.manifest, has_function(declared.read_runner(), "trace")
    tiny = str(session.spool() / "miniature") if miniature else ""
    if traces:
        own = {name: replace(output, primary=False) for name, output in manifest.outputs.items()}
        added = {NAMES: Output(type="json", primary=True), ARRAYS: Output(type="array")}
        manifest = replace(manifest, outputs={**added, **own})
        declared = _Traced(**{**asdict(declared), "manifest": manifest}, runs=runs, tiny=tiny)
    arrays: list[Array] = []

    def on_event(event: Event) -> None:
        if event.kind == "chunk" and event.params.get("output") == ARRAYS:
            arrays.append(Array.of(session.chunk(declared, event)))
        else:
            show(event)

    show: Callable[[Event], None] = job.on_event
    job = replace(job, models={choice_key(job): declared}, on_event=on_event)
    result = session.execute(job)
    outputs = {name: value for name, value in result.items() if name != NAMES}
    names = result[NAMES] if traces else ()
    seconds = sum(result.timings.values())
    return TracedJob(outputs, dict(zip(names, arrays, strict=True)), seconds)
