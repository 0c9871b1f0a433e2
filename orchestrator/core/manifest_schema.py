"""The JSON Schema of a manifest, for editors that check and complete YAML as it is written.

Types, bounds and descriptions come from the records in `orchestrator.core.manifest`, so that the
schema cannot differ from what is read; a few facts that msgspec cannot derive are added here. What
no schema can say (a name is its file's) is left to the reader.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, get_args

import msgspec

from orchestrator.core.manifest import (
    Archive,
    Device,
    DType,
    Environment,
    Input,
    Manifest,
    Output,
    Source,
    Timeouts,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

RECORDS = (Manifest, Environment, Source, Archive, Timeouts, Input, Output)

REFINEMENTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "Manifest": {
        "task": {"examples": ["ocr", "tts", "asr"]},
        "keep_alive": {"examples": ["5m", "1h30m", "0", "forever"]},
        "patches": {"uniqueItems": True},
        "devices": {"uniqueItems": True},
    },
    "Environment": {
        "python": {"examples": [">=3.10,<3.13"]},
        "platforms": {"uniqueItems": True},
    },
}
"""What the types of the records do not say, by record and key."""

_CHOICES = {
    "if": {"properties": {"type": {"const": "choice"}}, "required": ["type"]},
    "then": {"properties": {"choices": {"minItems": 1}}},
    "else": {"properties": {"choices": {"maxItems": 0}}},
}


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a manifest, ready for JSON."""
    shape = msgspec.json.schema(Manifest)
    records = shape["$defs"]
    # A key without a value is refused, so that `null` is only how the records say "absent".
    records["Manifest"]["properties"]["source"] = {"$ref": "#/$defs/Source"}
    for record in RECORDS:
        properties = records[record.__name__]["properties"]
        for key, description in descriptions(record).items():
            properties[key]["description"] = description
        for key, refinement in REFINEMENTS.get(record.__name__, {}).items():
            properties[key].update(refinement)
    memory = records["Manifest"]["properties"]["memory"]  # msgspec before 0.23 leaves out the keys
    memory["propertyNames"] = {"enum": list(get_args(Device))}
    memory["additionalProperties"]["propertyNames"] = {"enum": list(get_args(DType))}
    for key in ("env", "family"):  # by default the empty text, which is no name
        del records["Manifest"]["properties"][key]["default"]
    records["Input"].update(_CHOICES)
    return {"$schema": DIALECT, "title": "A model's manifest", **shape}


def descriptions(record: type[msgspec.Struct]) -> dict[str, str]:
    """Return the text under each field of a record's source, by the field's key."""
    keys = {field.name: field.encode_name for field in msgspec.structs.fields(record)}
    (definition,) = ast.parse(inspect.getsource(record)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        keys[field.target.id]: " ".join(text.value.value.split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
