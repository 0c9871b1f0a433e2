"""The JSON Schema says of every key what it means, and refuses what the reader refuses."""

import json
import re
from pathlib import Path

import pytest

from orchestrator.core.manifest_schema import (
    DIALECT,
    RECORDS,
    REFINEMENTS,
    descriptions,
    manifest_schema,
)


@pytest.mark.parametrize("record", RECORDS)
def test_every_key_is_described(record):
    name = record.__name__
    keys = set(record.__struct_encode_fields__)
    assert set(descriptions(record)) == keys
    assert set(REFINEMENTS.get(name, {})) <= keys
    properties = manifest_schema()["$defs"][name]["properties"]
    assert set(properties) == keys
    assert all(entry["description"] for entry in properties.values())


def test_the_schema_is_json_of_its_dialect():
    schema = json.loads(json.dumps(manifest_schema()))
    assert schema["$schema"] == DIALECT
    assert schema["$ref"] == "#/$defs/Manifest"
    assert all(each["additionalProperties"] is False for each in schema["$defs"].values())


def test_required_keys():
    records = manifest_schema()["$defs"]
    assert set(records["Manifest"]["required"]) == {
        "name", "task", "summary", "environment", "inputs", "outputs"
    }  # fmt: skip
    assert set(records["Environment"]["required"]) == {"python", "dependencies"}
    assert set(records["Archive"]["required"]) == {"files"}


@pytest.mark.parametrize(
    ("record", "key", "fits", "misfits"),
    [
        ("Manifest", "name", ["a", "a-b", "qwen3-tts-1.7b"], ["../x", "A", "a/b", "a..b", ""]),
        ("Source", "size", ["6.8 GB", "1 kB", "3 GiB"], ["6.8", "big"]),
    ],
)
def test_patterns(record, key, fits, misfits):
    pattern = manifest_schema()["$defs"][record]["properties"][key]["pattern"]
    assert all(re.search(pattern, text) for text in fits)
    assert not any(re.search(pattern, text) for text in misfits)


def test_memory_is_by_device_and_data_type():
    memory = manifest_schema()["$defs"]["Manifest"]["properties"]["memory"]
    assert memory["propertyNames"]["enum"] == ["cuda", "cpu", "mps", "mlx"]
    assert memory["additionalProperties"]["propertyNames"]["enum"][0] == "float32"


def test_python_variables_are_refused():
    properties = manifest_schema()["$defs"]["Environment"]["properties"]
    pattern = properties["variables"]["propertyNames"]["pattern"]
    assert re.search(pattern, "OMP_NUM_THREADS")
    assert not re.search(pattern, "PYTHONPATH")


def test_every_key_is_in_the_users_reference():
    reference = Path(__file__).parents[3].joinpath("docs", "manifest.md").read_text("utf-8")
    keys = {key for record in RECORDS for key in descriptions(record)} - {"load", "run"}
    assert [key for key in sorted(keys) if f"`{key}`" not in reference] == []
