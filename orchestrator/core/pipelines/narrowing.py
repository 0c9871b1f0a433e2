"""A pipeline without steps that are not needed: for some outputs, or for some inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from orchestrator.core.pipelines.declaration import Declaration, Step
from orchestrator.core.pipelines.references import parse_reference, parse_template, references_in


def narrowed(declaration: Declaration, outputs: Collection[str]) -> Declaration:
    """Return a pipeline that has these outputs alone, and the steps that they need.

    Raises:
        ValueError: For a reference that is none.
    """
    steps = {step.id: step for step in declaration.steps}
    wanted = [parse_reference(declaration.outputs[name]).step for name in outputs]
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in steps and name not in needed:
            needed.add(name)
            wanted += _takes_from(steps[name])
    return msgspec.structs.replace(
        declaration,
        steps=tuple(step for step in declaration.steps if step.id in needed),
        outputs={name: text for name, text in declaration.outputs.items() if name in outputs},
    )


def without_step(declaration: Declaration, name: str) -> Declaration:
    """Return a pipeline without a step, and without the inputs of others that refer to it."""
    steps = (
        msgspec.structs.replace(
            step, with_={key: each for key, each in step.with_.items() if name not in _named(each)}
        )
        for step in declaration.steps
        if step.id != name
    )
    return msgspec.structs.replace(declaration, steps=tuple(steps))


def _takes_from(step: Step) -> Iterator[str]:
    """Yield the steps that a step refers to."""
    for value in (*step.with_.values(), *([step.foreach] if step.foreach else [])):
        yield from _named(value)


def _named(value: Any) -> list[str]:
    """Return the steps that a value refers to."""
    return [each.step for each in references_in(parse_template(value)) if each.step]
