"""The inputs that manifests and pipelines declare: whether a declaration makes sense, and a value.

Each input becomes an option of the command line, so names that `mm` itself uses are reserved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from orchestrator.core.manifest import PATH_TYPES, Input
from orchestrator.core.record_reader import Problem, item_problems, nested
from orchestrator.worker.encoding import SCALARS, is_scalar

RESERVED_OPTIONS = frozenset(
    {"out", "json", "model", "device", "dtype", "keep-alive", "timeout", "receipt", "manifests"}
    | {"debug", "force", "retries", "workers", "backend", "engine", "help", "address", "model-dir"}
    | {"load-timeout", "quiet", "resume", "mix", "wait", "sound-format", "text-layer", "precision"}
)
"""The options of `mm` and of its Python API, which no input may bear."""


def input_problems(declared: Input) -> Iterator[Problem]:
    """Yield what is wrong with one declared input, its name apart."""
    if declared.choices and declared.type != "choice":
        what = f"an input of type {declared.type} has no choices"
        yield Problem(("choices",), what, "write type: choice")
    elif declared.type == "choice" and not declared.choices:
        yield Problem(("choices",), "an input of type choice lists its choices")
    yield from nested(("choices",), item_problems(declared.choices, _choice_problem))
    if declared.list and declared.type in ("boolean", "json"):
        yield Problem(("list",), f"an option of type {declared.type} cannot be repeated")
    low, high = declared.minimum, declared.maximum
    for key, bound in (("minimum", low), ("maximum", high)):
        if bound is not None and declared.type not in ("integer", "number"):
            yield Problem((key,), f"an input of type {declared.type} has no {key}")
        elif bound is not None and declared.type == "integer" and bound != int(bound):
            yield Problem((key,), "must be a whole number, as its input is")
    if low is not None and high is not None and low > high:
        yield Problem(("minimum",), f"{low} is above the maximum, {high}")
    if declared.default is not msgspec.UNSET:
        yield from nested(("default",), _default_problems(declared))


def _default_problems(declared: Input) -> Iterator[Problem]:
    default = declared.default
    if declared.required:
        what = "an input that is required has no default"
        yield Problem((), what, "remove required or default")
    elif declared.type in PATH_TYPES:
        yield Problem((), f"an input of type {declared.type} has no default", "remove it")
    elif not declared.list:
        if problem := value_problem(declared, default):
            yield Problem((), problem)
    elif isinstance(default, list):
        for position, item in enumerate(default):
            if problem := value_problem(declared, item):
                yield Problem((position,), problem)
    else:
        yield Problem((), "must be a list, as its input is")


def value_problem(declared: Input, value: Any) -> str | None:
    """Return why `value` (one item, where the input is a list) does not fit the input, or None.

    Values of the types that are given as paths are not judged here.
    """
    kind = declared.type
    if kind in SCALARS and not is_scalar(kind, value):
        article = "an" if kind == "integer" else "a"
        what = "text" if kind in ("text", "choice") else f"{article} {kind}"
        return f"must be {what}"
    if kind == "choice" and declared.choices and value not in declared.choices:
        return f"{value!r} is not one of {', '.join(declared.choices)}"
    if kind in ("integer", "number"):
        if declared.minimum is not None and value < declared.minimum:
            return f"{value} is below the minimum, {declared.minimum}"
        if declared.maximum is not None and value > declared.maximum:
            return f"{value} is above the maximum, {declared.maximum}"
    return None


def _choice_problem(choice: str) -> str | None:
    return None if choice and choice.isprintable() else f"{choice!r} cannot be typed as a choice"
