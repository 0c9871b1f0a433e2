"""The rules about a runner: whether it compiles, takes the inputs, and finds its modules."""

from __future__ import annotations

from orchestrator.core.runner_check import runner_problems
from orchestrator.doctor.rules.findings import Evidence, Fact, Layer, Results, rule
from orchestrator.doctor.rules.module_rules import check_runner_modules
from orchestrator.doctor.rules.subject import Subject


def check_runner(subject: Subject) -> Results:
    """Check the runner of a model against its manifest and its environment."""
    if subject.manifest is None or not subject.runner:
        return
    problems = runner_problems(subject.manifest, subject.runner)
    for each in problems:
        fix = each.fix or "correct it, then run: mm manifest check"
        yield rule("runner").matched(Evidence(each.path, each.line), problem=each, fix=fix)
    if not problems:
        text = "the runner compiles and takes the inputs of the manifest"
        yield Fact(Layer.RUNNER, text)
    yield from check_runner_modules(subject)
