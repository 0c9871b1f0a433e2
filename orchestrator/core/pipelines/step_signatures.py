"""What a step takes and returns, and which types fit into which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from orchestrator.core.manifest import FILE_TYPES, Input, Manifest

ANY = "any"
"""The type of an input that takes one value of any type, or a list of plain data."""

WORDS = frozenset({"text", "choice", "integer", "number", "boolean"})
"""What can stand inside other text."""


class Kind(NamedTuple):
    """The type of a value: one of the manifest's types, or a list of it."""

    type: str
    many: bool = False

    def __str__(self) -> str:
        return f"a list of {self.type}" if self.many else self.type


UNKNOWN = Kind("unknown")
"""The type of what does not exist, which has been reported; it fits everywhere."""


@dataclass(frozen=True)
class Port:
    """An input of a step.

    Attributes:
        kind: The type that it takes.
        declared: What a literal is checked against; None where any will do.
        streamed: Whether a list is taken while it grows, as an iterator.
    """

    kind: Kind
    required: bool = False
    declared: Input | None = None
    streamed: bool = False


@dataclass(frozen=True)
class Signature:
    """What one step takes and returns.

    Attributes:
        name: The model, or the built-in step.
        inputs: By name.
        outputs: By name, the primary one first.
        model: Whether it is a model.
        reason: Why this model stands for the task, as one line for the user.
        candidates: The models of which each item's own text chooses; empty where it is always this
            one.
    """

    name: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Kind]
    model: bool = False
    reason: str = field(default="", compare=False)
    candidates: tuple[str, ...] = ()


def port_of(declared: Input) -> Port:
    """Return an input of a manifest, or of a pipeline, as a port."""
    return Port(Kind(declared.type, declared.list), declared.required, declared)


def signature_of_model(manifest: Manifest, reason: str = "") -> Signature:
    """Return what the model of `manifest` takes and returns."""
    primary = manifest.primary_output
    ordered = sorted(manifest.outputs, key=lambda name: name != primary)
    return Signature(
        name=manifest.name,
        inputs={name: port_of(declared) for name, declared in manifest.inputs.items()},
        outputs={name: Kind(manifest.outputs[name].type) for name in ordered},
        model=True,
        reason=reason,
    )


def signature_of_models(one: Signature, others: Iterable[Signature], given: set[str]) -> Signature:
    """Return what a step takes and returns that runs on one of several models, item by item.

    Args:
        one: What the model returns that stands for the task where no text decides.
        others: The same of the other models.
        given: The inputs that the step gives; a model that does not take them is no candidate.
    """
    primary = next(iter(one.outputs.items()))
    fit = [
        each
        for each in others
        if all(
            each.inputs.get(name) and each.inputs[name].kind == one.inputs[name].kind
            for name in given & one.inputs.keys()
        )
        and given >= {name for name, port in each.inputs.items() if port.required}
        and primary in each.outputs.items()
    ]
    shared = {
        name: kind
        for name, kind in one.outputs.items()
        if all(each.outputs.get(name) == kind for each in fit)
    }
    names = (one.name, *(each.name for each in fit))
    return replace(one, outputs=shared, candidates=names)


def mismatch(given: Kind, wanted: Kind) -> str:
    """Return why a value of the type `given` cannot go where `wanted` is taken, or nothing."""
    if given is UNKNOWN:
        return ""
    if given.many and wanted.type == ANY and given.type in WORDS | {"json"}:
        return ""
    if given.many and not wanted.many and wanted.type != "json":
        return f"{given} does not fit into one {_shown(wanted)}"
    if wanted.many and not given.many:
        return f"one {given} does not fit into {wanted}"
    one, other = given.type, wanted.type
    fits = (
        one == other
        or other == ANY
        or (other in ("text", "choice") and one in ("text", "choice"))
        or (other == "number" and one == "integer")
        or (other == "file" and one in FILE_TYPES)
        or (other == "json" and one in WORDS)
    )
    return "" if fits else f"{given} does not fit into {wanted}"


def _shown(kind: Kind) -> str:
    return "value" if kind.type == ANY else kind.type
