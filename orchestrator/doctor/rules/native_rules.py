"""The note about a model with code of its own that a package implements itself."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.doctor.rules.config import json_object
from orchestrator.doctor.rules.findings import Finding, rule
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.rules.tables import version_of

APPLE = "macos-arm64"
"""Where the packages of MLX run."""


def check_native(subject: Subject) -> Iterator[Finding]:
    """Say which packages implement a model that would be loaded by its own code."""
    config = json_object(subject.original("config.json"))
    if not isinstance(config.get("auto_map"), dict):
        return
    named = config.get("architectures") or [config.get("model_type")]
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    for package, (version, model) in subject.table.implementations(names).items():
        if package.startswith("mlx") and subject.platform != APPLE:
            continue
        here = subject.conditions.versions.get(package, "")
        there = (version_of(here) or ()) >= (version_of(version) or ())
        yield rule("native-here" if there else "native").matched(
            package=package, version=version, model=model, here=here
        )
