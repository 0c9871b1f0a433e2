"""`--set STEP.KEY=VALUE`: change single steps of a pipeline for one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.binding import did_you_mean
from orchestrator.core.yaml_document import scalar
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.core.pipelines import Declaration, Step

KEYS = {"model": str, "device": str, "dtype": str, "workers": int, "timeout": float}
"""Keys of a step that can be set; any other key is an input of the step."""


def apply(declaration: Declaration, settings: Iterable[str]) -> Declaration:
    """Return `declaration` with the settings applied.

    `read.model=deepseek-ocr-2` sets a key of a step, `read.mode=free` an input of it.

    Raises:
        UsageError: When a setting is malformed, or its step does not exist.
    """
    steps = {step.id: step for step in declaration.steps}
    for setting in settings:
        left, equals, value = setting.partition("=")
        name, dot, key = left.partition(".")
        if not (equals and dot and key):
            raise UsageError(f"--set {setting}", fix="write --set STEP.KEY=VALUE")
        if name not in steps:
            fix = did_you_mean(name, steps) or f"its steps are {', '.join(steps)}"
            raise UsageError(f"--set {setting}: there is no step {name!r}", fix=fix)
        steps[name] = _set(steps[name], key, value, setting)
    return msgspec.structs.replace(declaration, steps=tuple(steps.values()))


def _set(step: Step, key: str, text: str, setting: str) -> Step:
    if key in KEYS:
        try:
            value: Any = KEYS[key](text)
        except ValueError:
            kind = "a whole number" if KEYS[key] is int else "a number"
            raise UsageError(f"--set {setting}: {key} is {kind}") from None
        return msgspec.structs.replace(step, **{key: value})
    try:
        value = scalar(text)
    except ValueError as error:
        raise UsageError(f"--set {setting}: {error}") from error
    return msgspec.structs.replace(step, with_={**step.with_, key: value})
