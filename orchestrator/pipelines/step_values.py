"""Values on their way between steps: plain data, or files known by their hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.core.canonical import canonical_bytes
from orchestrator.core.manifest import FILE_TYPES
from orchestrator.core.pipelines.graph import Node
from orchestrator.core.pipelines.references import Reference, as_text, value_of
from orchestrator.core.pipelines.step_signatures import Signature
from orchestrator.system.hashing import sha256_of

LONGEST = 256
"""Bytes of plain data that are written into keys and records as they are; longer: their hash."""

SKIPPED_BEFORE = "the step before passed it over"
"""Why an item has no value for an input; the step before has said so."""


@dataclass(frozen=True)
class Value:
    """One value.

    Attributes:
        type: The manifest's name of its type.
        data: What it is, where it is plain data.
        file: Where it is, where it is a file.
        label: What people call it, such as `scans/7.png`.
        hash: SHA-256 of the file, where it is known already.
        language: The tag of its language, where it is a text of which a step knows that.
    """

    type: str
    data: Any = None
    file: Path | None = None
    label: str = ""
    hash: str = ""
    language: str = ""

    def __str__(self) -> str:
        """Return it as it is written inside other text."""
        return as_text(self.data)

    @property
    def absent(self) -> bool:
        """Whether it stands for an output of an item that was passed over."""
        return self.file is None and self.data is None and self.type != "json"

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its file, in hexadecimal."""
        assert self.file is not None
        return self.hash or sha256_of(self.file)

    def described(self, *, named: bool = False) -> Any:
        """Return what a key says of it: short data as they are, everything else by its hash.

        Args:
            named: Whether the path of a file counts as well.
        """
        if self.file is not None:
            known = {"sha256": self.sha256, "suffix": self.file.suffix.lower()}
            return {**known, "path": _readable(self.file)} if named else known
        data, shown = self._bytes(), self.data
        if len(data) > LONGEST:
            shown = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return {"language": self.language, "text": shown} if self.language else shown

    def for_step(self) -> Any:
        """Return what a step is given: a path, an array, or the data."""
        if self.file is None:
            return self.data
        if self.type == "array":
            from orchestrator.jobs.npy import read_npy

            return read_npy(self.file)
        return self.file

    def _bytes(self) -> bytes:
        if self.type == "array":
            from orchestrator.jobs.npy import npy_bytes

            return npy_bytes(self.data)
        return canonical_bytes(self.data)


def _readable(path: Path) -> str:
    """Return a path as text, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


Values = Value | tuple[Value, ...]
"""What an input or an output holds: one value, or a list."""


def described(values: Values, *, named: bool = False) -> Any:
    """Return what a key says of a value or a list; `named` as for `Value.described`."""
    if isinstance(values, tuple):
        return [each.described(named=named) for each in values]
    return values.described(named=named)


def for_step(values: Values, *, gaps: bool = False) -> Any:
    """Return what a step is given for a value or a list.

    Args:
        values: The value or the list.
        gaps: Whether None stands in a list for what was passed over; else it is left out.
    """
    if not isinstance(values, tuple):
        return values.for_step()
    return [each.for_step() for each in values if gaps or not each.absent]


def given(kind: str, value: Any, *, many: bool = False, label: Any = None) -> Values:
    """Return what a user has given, or a pipeline says literally, as values of the type `kind`.

    Files are taken where they are.

    Args:
        kind: The type.
        value: The value, or a list of them.
        many: Whether it is a list.
        label: What the user calls it, or a list of that; by default files go by their paths.
    """
    labels = value if label is None else label
    if many:
        return tuple(_given(kind, each, name) for each, name in zip(value, labels, strict=True))
    return _given(kind, value, labels)


def _given(kind: str, value: Any, label: Any) -> Value:
    if isinstance(value, Value):
        return value
    if kind in FILE_TYPES:
        return Value(kind, file=Path(value), label=str(label))
    return Value(kind, value)


def resolve_inputs(
    node: Node, look_up: Callable[[Reference], Any], without: Container[str] = ()
) -> dict[str, Values]:
    """Return what a step is given for one item; inputs that are left out are missing.

    Args:
        node: The step.
        look_up: Returns the values of a reference for this item.
        without: Inputs that are passed over.
    """
    inputs: dict[str, Values] = {}
    for name, template in node.templates.items():
        if name in without:
            continue
        value = value_of(template, look_up)
        if value is msgspec.UNSET:
            continue
        kind = node.signature.inputs[name].kind
        known = isinstance(value, (Value, tuple))
        inputs[name] = value if known else given(kind.type, value, many=kind.many)
    return inputs


def skip_reason(signature: Signature, inputs: Mapping[str, Values]) -> str:
    """Return why there is nothing to do for an item, or an empty text.

    A page without text has no speech, and that is no failure: a model that turns the input `text`
    into a sound is not run on it, and neither is what takes the sound.
    """
    speaks = signature.model and next(iter(signature.outputs.values())).type == "audio"
    for name, port in signature.inputs.items():
        value = inputs.get(name)
        if not port.required or not isinstance(value, Value):
            continue
        if value.absent:
            return SKIPPED_BEFORE
        if speaks and name == "text" and not any(map(str.isalnum, str(value.data))):
            return "there is no text to speak"
    return ""
