"""One job by two sides, each in its own environment, and how what they gave differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from orchestrator.comparison.arrays import ALLOWED, ArrayDifference, compare_arrays
from orchestrator.comparison.output_differences import OutputDifference, compare_outputs
from orchestrator.comparison.smallest_inputs import smallest_inputs
from orchestrator.comparison.traced import TracedJob, has_function, run_traced
from orchestrator.core.manifest import option_name
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.errors import UsageError
from orchestrator.jobs.job import Event, Job
from orchestrator.jobs.results import Artifact
from orchestrator.session import Session

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.core.manifest import Manifest
    from orchestrator.jobs.cancellation import Cancellation
    from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Side:
    """A model, and how it is to run."""

    declared: Declared
    device: str
    dtype: str

    @property
    def name(self) -> str:
        """The side as messages name it."""
        return f"{self.declared.name} on {self.device} in {self.dtype}"


class ModelComparison(msgspec.Struct, frozen=True):
    """How two sides differ.

    Attributes:
        sides: What was compared; the first is the reference.
        seconds: How long each job took, load included.
        outputs: The outputs that both declare, with how they differ.
        arrays: The arrays that both runners trace, in the first runner's order.
        untraced: Why arrays were not compared; empty where they were.
        shown: The outputs of each as they came.
    """

    sides: tuple[str, str]
    seconds: tuple[float, float]
    outputs: tuple[OutputDifference, ...]
    arrays: tuple[ArrayDifference, ...]
    untraced: str
    shown: tuple[Mapping[str, Any], Mapping[str, Any]]

    @property
    def parted(self) -> ArrayDifference | None:
        """The first array that is not equal within the error of the data type."""
        return next((each for each in self.arrays if not each.equal), None)

    @property
    def equal(self) -> bool:
        """Whether no output and no array differs."""
        return self.parted is None and all(each.equal for each in self.outputs)


def inputs_for(
    manifests: tuple[Manifest, Manifest], given: Mapping[str, Any], directory: Path
) -> dict[str, Any]:
    """Return the inputs of both jobs: those that were given, or the smallest that both take.

    Args:
        manifests: The manifests of the two models.
        given: Inputs by name.
        directory: A directory for files that are made up.

    Raises:
        UsageError: When the models do not do the same task, or one does not take an input.
    """
    one, other = manifests
    if one.task != other.task:
        raise UsageError(
            f"{one.name} does {one.task}, and {other.name} does {other.task}",
            fix="compare two models of one task: mm model list",
        )
    for name in given:
        if name not in other.inputs:
            raise UsageError(f"{other.name} takes no --{option_name(name)}", fix="leave it out")
    missing = [
        name
        for manifest in manifests
        for name, spec in manifest.inputs.items()
        if spec.required and name not in given
    ]
    if not missing:
        return dict(given)
    made = {**smallest_inputs(other, directory), **smallest_inputs(one, directory)}
    both = {name: value for name, value in made.items() if all(name in m.inputs for m in manifests)}
    return {**both, **given}


def compare(
    workspace: Workspace,
    sides: tuple[Side, Side],
    given: Mapping[str, Any],
    cancellation: Cancellation | None = None,
    on_event: Callable[[Side, Event], None] = lambda _side, _event: None,
    *,
    force: bool = False,
) -> ModelComparison:
    """Run one job by two sides, one after the other, and compare what they give.

    Args:
        workspace: The user's world.
        sides: The two; the first is the reference.
        given: The inputs of both, by name.
        cancellation: Asks the job that runs to stop.
        on_event: Called with the side and each event of its job.
        force: Whether to load the models without asking whether the memory suffices.

    Raises:
        MMError: As a job ends.
    """
    preparer = LocalPreparer(workspace)
    for side in sides:  # both before either of them runs
        preparer.check(side.declared, side.device, side.dtype)
    chosen = []
    for side in sides:
        device, dtype = workspace.device_and_dtype(side.declared, side.device, side.dtype)
        chosen.append(Side(side.declared, device.name, dtype))
    one, other = chosen
    with Session(workspace=workspace) as files:  # holds the files of outputs, and no worker
        directory = files.spool()
        manifests = (one.declared.manifest, other.declared.manifest)
        inputs = inputs_for(manifests, given, directory)
        job = Job("", inputs, cancellation=cancellation, force=force)
        first, second = (
            _run(workspace, side, job, on_event, directory / str(index))
            for index, side in enumerate(chosen)
        )
        return _compared((one, other), (first, second))


def _run(
    workspace: Workspace,
    side: Side,
    job: Job,
    on_event: Callable[[Side, Event], None],
    directory: Path,
) -> TracedJob:
    """Run the job in a session of its own, so that both models are never in memory at once."""
    job = structs.replace(
        job,
        name=side.declared.name,
        device=side.device,
        dtype=side.dtype,
        on_event=lambda event: on_event(side, event),
    )
    directory.mkdir()
    with Session(workspace=workspace) as session:
        done = run_traced(session, side.declared, job)
        kept = {
            name: Artifact(value.save(directory / f"{name}{value.path.suffix}"))
            if isinstance(value, Artifact)
            else value
            for name, value in done.outputs.items()
        }
    return replace(done, outputs=kept)


def _compared(sides: tuple[Side, Side], jobs: tuple[TracedJob, TracedJob]) -> ModelComparison:
    one, other = jobs
    kinds = {name: output.type for name, output in sides[0].declared.manifest.outputs.items()}
    same = sides[1].declared.manifest.outputs
    allowed = max(ALLOWED[side.dtype] for side in sides)
    without = [
        side.declared.name
        for side in sides
        if not has_function(side.declared.read_runner(), "trace")
    ]
    shared = [name for name in one.arrays if name in other.arrays]
    untraced = ""
    if without:
        untraced = f"the runner of {' and of '.join(dict.fromkeys(without))} has no trace()"
    elif not shared:
        untraced = "the runners trace no array of the same name"
    return ModelComparison(
        sides=(sides[0].name, sides[1].name),
        seconds=(one.seconds, other.seconds),
        outputs=tuple(
            compare_outputs(name, kind, one.outputs.get(name), other.outputs.get(name))
            for name, kind in kinds.items()
            if name in same and same[name].type == kind
        ),
        arrays=tuple(
            compare_arrays(name, other.arrays[name], one.arrays[name], allowed) for name in shared
        ),
        untraced=untraced,
        shown=(_plain(one.outputs), _plain(other.outputs)),
    )


def _plain(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs that JSON has; of the others there are figures alone."""
    plain = (str, int, float, bool, list, dict, type(None))
    return {name: value for name, value in outputs.items() if isinstance(value, plain)}
