"""The JSON Schema of a manifest, for editors that check and complete YAML as it is written.

The shape comes from the records, so that it cannot differ from what is read; the words and the
patterns are added here. What no schema can say (a name is its file's) is left to the reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from orchestrator.core.manifest import Device, DType, Manifest
from orchestrator.core.manifest_reader import (
    IDENTIFIER_PATTERN,
    MAX_NAME_LENGTH,
    NAME_PATTERN,
    VARIABLE_PATTERN,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

DIALECT = "https://json-schema.org/draft/2020-12/schema"

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "Manifest": {
        "name": "The model's name, which is the file's name without .yaml.",
        "env": "The folder under envs/ with the runner and the lock. By default the model's own "
        "name; several models may share one.",
        "task": "What the model does. Every ocr model takes image and returns text; every tts "
        "model takes text and returns audio.",
        "summary": "What the model does, in one line.",
        "license": "The licence of the model, as an SPDX expression.",
        "homepage": "Where the model is described.",
        "environment": "The interpreter and the packages that the model runs with.",
        "source": "Where the weights come from. Absent where a package carries them.",
        "patches": "Patch sets for the model's own code, applied in this order.",
        "preference": "Among the ready models of a task, the highest wins.",
        "devices": "Where the model runs, in the order in which --device auto tries.",
        "memory": "The memory that the model needs, by device and data type. --dtype takes what "
        "is listed for the device, and the first by default.",
        "options": "What the runner finds as context.options.",
        "timeouts": "How long a load and a run may take, in seconds.",
        "keep_alive": 'How long a worker stays after its last job: "90s", "5m", "1h30m", "0" or '
        '"forever".',
        "inputs": "The keywords of the runner's run(), each an option of mm run: image_size is "
        "--image-size.",
        "outputs": "The keys of what the runner's run() returns.",
    },
    "Environment": {
        "python": "The versions of Python that the model runs on, with a lower bound. A string: "
        '">=3.10,<3.13".',
        "platforms": "Where the lock must install. By default this machine's platform.",
        "dependencies": "What the model needs, as requirements: torch==2.6.0. No URLs.",
        "overrides": "Requirements that replace what packages ask of each other.",
        "build": "The names of the only packages that may be built from source.",
        "probe": "Modules that must import before the environment is used.",
        "variables": "Environment variables for the worker. PYTHON* has no effect and is refused.",
        "pass": "Names of your own environment variables that the worker may see.",
    },
    "Source": {
        "repo": "The repository of the weights: owner/name.",
        "revision": "The commit to use. A branch is resolved at the first download and recorded.",
        "include": "Patterns of the files to download. By default all of them.",
        "size": "The size of the download, which is said before it begins: 6.8 GB.",
    },
    "Timeouts": {"load": "Seconds to load the model.", "run": "Seconds to run one job."},
    "Input": {
        "type": "What is given. The runner gets image, file and audio as paths.",
        "required": "Whether a job without it is refused.",
        "default": "The value when it is not given. Without one, the runner's run() is called "
        "without the keyword.",
        "help": "What it is for; shown by mm run MODEL --help.",
        "choices": "What a choice may be.",
        "minimum": "The smallest integer or number.",
        "maximum": "The largest integer or number.",
        "list": "Whether the option may be repeated; run() gets a list.",
    },
    "Output": {
        "type": "What is returned. An image or a file as a path in job.directory, audio as "
        "(samples, rate) or such a path.",
        "primary": "Whether mm run prints it, and -o names it. The only output is primary by "
        "itself.",
        "help": "What it is.",
    },
}
"""What each key means, by record and key; a test wants one for each."""

_NAME = {"pattern": f"^{NAME_PATTERN}$", "maxLength": MAX_NAME_LENGTH}
_SIZE = {"pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B$"}
_IDENTIFIERS = {"propertyNames": {"pattern": f"^{IDENTIFIER_PATTERN}$"}}

REFINEMENTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "Manifest": {
        "name": _NAME,
        "env": _NAME,
        "task": {**_NAME, "examples": ["ocr", "tts"]},
        "summary": {"minLength": 1},
        "patches": {"uniqueItems": True},
        "devices": {"uniqueItems": True, "minItems": 1},
        "memory": {
            "propertyNames": {"enum": list(get_args(Device))},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"enum": list(get_args(DType))},
                "additionalProperties": {"type": "string", **_SIZE},
            },
        },
        "inputs": _IDENTIFIERS,
        "outputs": {**_IDENTIFIERS, "minProperties": 1},
        "keep_alive": {"examples": ["5m", "1h30m", "0", "forever"]},
    },
    "Environment": {
        "python": {"examples": [">=3.10,<3.13"]},
        "platforms": {"uniqueItems": True},
        "variables": {"propertyNames": {"pattern": f"^(?!PYTHON){VARIABLE_PATTERN}$"}},
    },
    "Source": {"size": _SIZE},
    "Timeouts": {"load": {"exclusiveMinimum": 0}, "run": {"exclusiveMinimum": 0}},
}
"""What the types of the records do not say, by record and key."""

_CHOICES = {
    "if": {"properties": {"type": {"const": "choice"}}, "required": ["type"]},
    "then": {"required": ["choices"], "properties": {"choices": {"minItems": 1}}},
    "else": {"properties": {"choices": {"maxItems": 0}}},
}


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a manifest, ready for JSON."""
    shape = msgspec.json.schema(Manifest)
    records = shape["$defs"]
    # A key without a value is refused, so that `null` is only how the records say "absent".
    records["Manifest"]["properties"]["source"] = {"$ref": "#/$defs/Source"}
    for record, descriptions in DESCRIPTIONS.items():
        properties = records[record]["properties"]
        for key, description in descriptions.items():
            properties[key]["description"] = description
        for key, refinement in REFINEMENTS.get(record, {}).items():
            properties[key].update(refinement)
    # By default `env` is the model's own name, and the empty text is no name.
    del records["Manifest"]["properties"]["env"]["default"]
    records["Input"].update(_CHOICES)
    return {"$schema": DIALECT, "title": "A model's manifest", **shape}
