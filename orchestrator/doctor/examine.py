"""All layers of one subject, each by itself: what one finds, another need not know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from orchestrator.doctor.caches import check_caches
from orchestrator.doctor.rules.code_rules import check_apis, check_devices, check_dtypes
from orchestrator.doctor.rules.config_rules import check_configuration
from orchestrator.doctor.rules.findings import Fact, Finding, Layer, Report, rule
from orchestrator.doctor.rules.import_rules import check_environment
from orchestrator.doctor.rules.native_rules import check_native
from orchestrator.doctor.rules.patches import check_patches
from orchestrator.doctor.rules.runner_rules import check_runner
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.weight_rules import check_weights

CHECKS: dict[Layer, Callable[[Subject], Iterable[Fact | Finding]]] = {
    Layer.ENVIRONMENT: check_environment,
    Layer.RUNNER: check_runner,
    Layer.API: check_apis,
    Layer.DEVICE: check_devices,
    Layer.CONFIGURATION: check_configuration,
    Layer.WEIGHTS: check_weights,
    Layer.DTYPES: check_dtypes,
    Layer.CACHES: check_caches,
    Layer.PATCHES: check_patches,
    Layer.RUN: lambda _: (),
}
"""What checks each layer of a model; its rules are in the module of the function.

Of its runs no more is known than what was found while the subject was gathered.
"""


def examine(subject: Subject, layers: Collection[Layer] = tuple(CHECKS)) -> Report:
    """Check `subject` layer by layer and return the facts and findings."""
    # Where a package has the model, nothing else here need be fixed.
    results: list[Fact | Finding] = [*check_native(subject)] if Layer.ENVIRONMENT in layers else []
    for layer, check in CHECKS.items():
        if layer in layers:
            results += [each for each in subject.early if each.layer is layer]
            try:
                results += list(check(subject))
            except RecursionError:
                results.append(rule("too-deep").matched(layer=layer))
    return Report.of(subject.name, _conditions(subject), results)


def _conditions(subject: Subject) -> str:
    conditions = subject.conditions
    versions = [
        f"{name} {conditions.versions[name]}"
        for name in ("transformers", "torch")
        if name in conditions.versions
    ]
    return ", ".join([f"on {conditions.device} in {conditions.dtype}", *versions])
