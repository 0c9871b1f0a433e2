"""`--set STEP.KEY=VALUE`: change single steps of a pipeline for one run."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.names import did_you_mean
from orchestrator.core.yaml_document import scalar
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.core.pipelines import Declaration, Step, Where
    from orchestrator.core.yaml_document import Path

KEYS = {"model": str, "device": str, "dtype": str, "workers": int, "timeout": float}
"""Keys of a step that can be set; any other key is an input of the step."""


def apply(
    declaration: Declaration,
    where: Where,
    settings: Iterable[str],
    shown: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Declaration, Where]:
    """Return `declaration` with the settings applied, and where what was set is: in an option.

    `read.model=deepseek-ocr-2` sets a key of a step, `read.mode=free` an input of it, and
    `read.image_size="768"` one to a text of digits. `shown` has
    what the user wrote for a setting, where that is not `--set`.

    Raises:
        UsageError: When a setting is malformed, or its step does not exist.
    """
    steps = {step.id: step for step in declaration.steps}
    positions = {step.id: number for number, step in enumerate(declaration.steps)}
    options: dict[Path, str] = {}
    for setting in settings:
        option = shown.get(setting, f"--set {setting}")
        left, equals, value = setting.partition("=")
        name, dot, key = left.partition(".")
        if not (equals and dot and key):
            raise UsageError(f"--set {setting}", fix="write --set STEP.KEY=VALUE")
        if name not in steps:
            fix = did_you_mean(name, steps) or f"its steps are {', '.join(steps)}"
            raise UsageError(f"--set {setting}: there is no step {name!r}", fix=fix)
        steps[name] = _set(steps[name], key, value, option)
        # What a model or a device does not fit is reported as a problem of `run`.
        own = key if key in ("workers", "timeout") else "run"
        step: Path = ("steps", positions[name])
        options[step + ((own,) if key in KEYS else ("with", key))] = option
    changed = msgspec.structs.replace(declaration, steps=tuple(steps.values()))
    return changed, lambda path: options.get(path) or where(path)


def _set(step: Step, key: str, text: str, option: str) -> Step:
    if key in KEYS:
        try:
            value: Any = KEYS[key](text)
        except ValueError:
            kind = "a whole number" if KEYS[key] is int else "a number"
            raise UsageError(f"{option}: {key} is {kind}") from None
        return msgspec.structs.replace(step, **{key: value})
    try:
        quoted = len(text) > 1 and text[0] == text[-1] == '"'
        value = text[1:-1] if quoted else scalar(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    return msgspec.structs.replace(step, with_={**step.with_, key: value})
