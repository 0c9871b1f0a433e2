"""`mm doctor MODEL --run --device D`: whether a device computes what the CPU does.

The smallest job runs on both, through the runner's own `trace`, and its logits are compared: first
of the runner's `miniature`, which needs no weights, then of the model. A device that fails with the
first does not compute the architecture; one that fails with the second alone, not at this size or
with these weights. What was found is kept under `MM_HOME`: `--device auto` takes Apple's GPU only
after both.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.catalog import Declared
from orchestrator.comparison import (
    ALLOWED,
    LOGITS,
    Array,
    ArrayDifference,
    as_miniature,
    compare_arrays,
    has_function,
    run_traced,
    smallest_inputs,
)
from orchestrator.core.devices import AUTO, DEFAULT, choose_dtype
from orchestrator.errors import Crashed, JobFailed, UsageError
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.system.self_tests import SelfTest, save_self_test
from orchestrator.workspace import Workspace


def compare_with_cpu(
    workspace: Workspace, declared: Declared, device: str, dtype: str, *, miniature: bool = False
) -> SelfTest | None:
    """Compare a model on a device with the same model on the CPU, and keep what was found.

    A miniature that passes is not kept: it is no word on the model.

    Args:
        workspace: The user's world.
        declared: The model.
        device: The kind of device.
        dtype: The data type there; on the CPU it is float32, where that is listed and fits.
        miniature: Whether its miniature is compared; None is returned for a runner without one.

    Raises:
        MMError: As the jobs end; that one fails on the device alone is a finding.
        UsageError: When the runner has no `trace`, or the model does not run on the CPU.
    """
    runner = declared.read_runner()
    if not has_function(runner, "trace"):
        raise UsageError(
            f"{device} is not compared with the CPU: the runner of {declared.name} has no trace()"
        )
    if miniature and not has_function(runner, "miniature"):
        return None
    basis = workspace.self_test_basis(declared, device, dtype)
    compared = as_miniature(declared) if miniature else declared
    reference = _reference(workspace, compared)
    cpus = _traced(workspace, compared, "cpu", reference, miniature=miniature)
    try:
        ours = _traced(workspace, compared, device, dtype, miniature=miniature)
        found, parted = _compared(ours, cpus, ALLOWED[dtype])
    except (JobFailed, Crashed) as error:
        found = ArrayDifference(LOGITS, equal=False, finding=error.what, largest=None)
        parted = ""
    test = SelfTest(
        model=declared.name,
        device=device,
        dtype=dtype,
        basis=basis,
        passed=found.equal,
        finding=f"{'miniature: ' * miniature}{found.finding}{parted}, against cpu in {reference}",
        steps=cpus[LOGITS].steps,
        difference=found.largest,
    )
    if not (miniature and test.passed):
        save_self_test(workspace.home, test)
    return test


def _reference(workspace: Workspace, declared: Declared) -> str:
    """Return the data type of the CPU: float32 where it is listed and fits, else the best."""
    cpu = replace(workspace.machine.of("cpu")[0], native=(DEFAULT,))
    return choose_dtype(declared.manifest, cpu, AUTO)


def _compared(
    ours: Mapping[str, Array], cpus: Mapping[str, Array], allowed: float
) -> tuple[ArrayDifference, str]:
    """Compare the logits; where they differ, say which array is the first that does."""
    found = compare_arrays(LOGITS, ours[LOGITS], cpus[LOGITS], allowed)
    if found.equal:
        return found, ""
    names = [name for name in cpus if name in ours and name != LOGITS]
    each = (compare_arrays(name, ours[name], cpus[name], allowed) for name in names)
    first = next((array.name for array in each if not array.equal), LOGITS)
    return found, f"; they part at {first}"


def _traced(
    workspace: Workspace, declared: Declared, device: str, dtype: str, *, miniature: bool
) -> Mapping[str, Array]:
    """Run the smallest job in a worker of its own, and return its arrays."""
    with Session(workspace=workspace) as session:
        inputs = smallest_inputs(declared.manifest, session.spool())
        job = Job(declared.name, inputs, device=device, dtype=dtype)
        arrays = run_traced(session, declared, job, runs=False, miniature=miniature).arrays
    if LOGITS not in arrays:
        raise UsageError(f"the trace() of {declared.name} returns no {LOGITS}")
    return arrays
