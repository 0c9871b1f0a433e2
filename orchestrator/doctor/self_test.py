"""`mm doctor MODEL --run --device D`: whether a device computes what the CPU does.

The smallest real job runs on both, through the runner's own `trace`, and its logits are compared.
What was found is kept under `MM_HOME`: `--device auto` takes Apple's GPU only after that.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from orchestrator.catalog import Declared
from orchestrator.comparison import (
    ALLOWED,
    LOGITS,
    Array,
    compare_arrays,
    has_trace,
    run_traced,
    smallest_inputs,
)
from orchestrator.core.devices import AUTO, DEFAULT, choose_dtype
from orchestrator.errors import UsageError
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.system.self_tests import SelfTest, save_self_test
from orchestrator.workspace import Workspace


def compare_with_cpu(workspace: Workspace, declared: Declared, device: str, dtype: str) -> SelfTest:
    """Compare a model on a device with the same model on the CPU, and keep what was found.

    Args:
        workspace: The user's world.
        declared: The model, whose environment is built.
        device: The kind of device.
        dtype: The data type there; on the CPU it is float32, where that is listed and fits.

    Raises:
        MMError: As the jobs end.
        UsageError: When the runner has no `trace`, or the model does not run on the CPU.
    """
    if not has_trace(declared.read_runner()):
        raise UsageError(
            f"{device} is not compared with the CPU: the runner of {declared.name} has no trace()"
        )
    basis = workspace.self_test_basis(declared, device, dtype)
    reference = _reference(workspace, declared)
    ours = _logits(workspace, declared, device, dtype)
    cpus = _logits(workspace, declared, "cpu", reference)
    found = compare_arrays(LOGITS, ours, cpus, ALLOWED[dtype])
    test = SelfTest(
        model=declared.name,
        device=device,
        dtype=dtype,
        basis=basis,
        passed=found.equal,
        finding=f"{found.finding}, against cpu in {reference}",
        steps=ours.steps,
        difference=math.inf if found.largest is None else found.largest,
    )
    save_self_test(workspace.home, test)
    return test


def _reference(workspace: Workspace, declared: Declared) -> str:
    """Return the data type of the CPU: float32 where it is listed and fits, else the best."""
    cpu = replace(workspace.machine.of("cpu")[0], native=(DEFAULT,))
    return choose_dtype(declared.manifest, cpu, AUTO)


def _logits(workspace: Workspace, declared: Declared, device: str, dtype: str) -> Array:
    """Run the smallest job in a worker of its own, and return its logits."""
    with Session(workspace=workspace) as session:
        inputs = smallest_inputs(declared.manifest, session.spool())
        job = Job(declared.name, inputs, device=device, dtype=dtype)
        arrays = run_traced(session, declared, job, runs=False).arrays
    if LOGITS not in arrays:
        raise UsageError(f"the trace() of {declared.name} returns no {LOGITS}")
    return arrays[LOGITS]
