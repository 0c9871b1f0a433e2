"""Inputs of a manifest as JSON Schema, for tools and for the description of the interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.manifest import FILE_TYPES, PATH_TYPES

if TYPE_CHECKING:
    from orchestrator.core.manifest import Input, Manifest

TYPES = {
    "text": "string",
    "choice": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}

DATA_URL = "; a data: URL"


def input_schema(manifest: Manifest, *, paths: bool = False) -> dict[str, Any]:
    """Return what the inputs of a model are.

    Args:
        manifest: The model's manifest.
        paths: Whether files are given by their paths, as between programs of one user, and not as
            data: URLs.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: _property(declared, paths=paths) for name, declared in manifest.inputs.items()
        },
        "additionalProperties": False,
    }
    if required := [name for name, declared in manifest.inputs.items() if declared.required]:
        schema["required"] = required
    return schema


def _property(declared: Input, *, paths: bool) -> dict[str, Any]:
    one: dict[str, Any] = {}
    how = ("; a path" if paths else DATA_URL) if declared.type in PATH_TYPES else ""
    if text := f"{declared.help or declared.type}{how}":
        one["description"] = text
    if declared.type in PATH_TYPES:
        one["type"] = "string"
        if declared.type in FILE_TYPES and not paths:
            one["format"] = "uri"
    elif declared.type in TYPES:
        one["type"] = TYPES[declared.type]
    if declared.choices:
        one["enum"] = list(declared.choices)
    bounds = {"minimum": declared.minimum, "maximum": declared.maximum}
    one.update({key: bound for key, bound in bounds.items() if bound is not None})
    if declared.list:
        described = {"description": one.pop("description")} if "description" in one else {}
        one = {"type": "array", "items": one, **described}
    if declared.default is not msgspec.UNSET and declared.default is not None:
        one["default"] = declared.default
    return one
