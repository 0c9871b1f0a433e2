"""`mm doctor MODEL --run --device D`: whether a device computes what the CPU does.

The smallest real job runs on both, through the runner's own `trace`, and its logits are compared.
What was found is kept under `MM_HOME`: `--device auto` takes Apple's GPU only after that.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from orchestrator.catalog import Declared
from orchestrator.core.devices import AUTO, DEFAULT, choose_dtype
from orchestrator.core.manifest import Output
from orchestrator.core.runner_check import names_bound
from orchestrator.doctor.smallest import smallest_inputs
from orchestrator.errors import UsageError
from orchestrator.jobs.job import Job
from orchestrator.session import Session
from orchestrator.session_models import choice_key
from orchestrator.system.self_tests import SelfTest, save_self_test
from orchestrator.workspace import Workspace

LOGITS = "logits"
LARGEST = {"float32": 1e-3, "bfloat16": 2e-2, "float16": 2e-2}
"""How far two logits may differ, by data type."""

TRACED = """\
from . import {name} as runner

load, check = runner.load, getattr(runner, "check", None)


def run(model, job, **inputs):
    return {{"logits": runner.trace(model, job, **inputs)["logits"]}}
"""
"""A runner around a model's own, which becomes a module of it."""


class _Traced(Declared, frozen=True):
    """A model whose jobs return logits instead of its outputs."""

    def read_runner(self) -> dict[str, str]:
        files = super().read_runner()
        first = Path(next(iter(files)))
        module = first.parent if first.name == "__init__.py" else first
        around = {str(module.parent / "__init__.py"): TRACED.format(name=module.stem)}
        return {**around, **files}


def has_trace(files: Mapping[str, str]) -> bool:
    """Return whether a runner has a function `trace`, from its texts by path, the first first."""
    return "trace" in names_bound(ast.parse(next(iter(files.values()))))


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
    passed, finding, difference = compare(ours, cpus, LARGEST[dtype])
    test = SelfTest(
        model=declared.name,
        device=device,
        dtype=dtype,
        basis=basis,
        passed=passed,
        finding=f"{finding}, against cpu in {reference}",
        steps=len(ours),
        difference=difference,
    )
    save_self_test(workspace.home, test)
    return test


def compare(
    ours: Sequence[Sequence[float]], cpus: Sequence[Sequence[float]], largest: float
) -> tuple[bool, str, float]:
    """Compare two sequences of logits, a vector for each step.

    Returns:
        Whether they are equal within `largest` and name the same most likely token at each step,
        how they differ in words, and the largest difference.
    """
    shapes = [[len(vector) for vector in each] for each in (ours, cpus)]
    if shapes[0] != shapes[1] or not ours:
        return False, f"{len(ours)} and {len(cpus)} vectors of logits, which do not match", math.inf
    difference = 0.0
    for step, (one, other) in enumerate(zip(ours, cpus, strict=True), 1):
        for a, b in zip(one, other, strict=True):
            if not (math.isfinite(a) and math.isfinite(b)):
                return False, f"a logit of step {step} is {a}, and {b} on the CPU", math.inf
            difference = max(difference, abs(a - b))
        if _likeliest(one) != _likeliest(other):
            return False, f"another most likely token at step {step} of {len(ours)}", difference
    words = f"largest difference of logits {difference:.2g} over {len(ours)} steps"
    return difference <= largest, f"{words}, allowed {largest:g}", difference


def _likeliest(vector: Sequence[float]) -> int:
    return max(range(len(vector)), key=vector.__getitem__)


def _reference(workspace: Workspace, declared: Declared) -> str:
    """Return the data type of the CPU: float32 where it is listed and fits, else the best."""
    cpu = replace(workspace.machine.of("cpu")[0], native=(DEFAULT,))
    return choose_dtype(declared.manifest, cpu, AUTO)


def _logits(workspace: Workspace, declared: Declared, device: str, dtype: str) -> list[list[float]]:
    """Run the smallest job in a worker of its own, and return its logits."""
    manifest = replace(declared.manifest, outputs={LOGITS: Output(type="array", primary=True)})
    traced = _Traced(**{**asdict(declared), "manifest": manifest})
    with Session(workspace=workspace) as session:
        inputs: dict[str, Any] = smallest_inputs(manifest, session.spool())
        job = Job(declared.name, inputs, device=device, dtype=dtype)
        job = replace(job, models={choice_key(job): traced})
        logits: list[Any] = memoryview(session.execute(job)[LOGITS]).tolist()
    return logits if logits and isinstance(logits[0], list) else [logits]
