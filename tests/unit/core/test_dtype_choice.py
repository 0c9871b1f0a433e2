"""Which data type `--dtype auto` means, by memory and processor."""

import pytest

from orchestrator.core.devices import Device, choose_dtype
from orchestrator.core.manifest_reader import read_manifest
from orchestrator.errors import UsageError

GIB = 1 << 30


def manifest(memory):
    text = f"""\
name: m
task: t
summary: s
environment: {{python: ">=3.10", dependencies: []}}
devices: [cuda, cpu]
memory: {memory}
inputs: {{}}
outputs: {{text: {{type: text}}}}
"""
    return read_manifest(text.encode(), file="m.yaml", stem="m")


BOTH = manifest("{cpu: {float32: 17 GiB, bfloat16: 9 GiB}, cuda: {bfloat16: 9 GiB}}")


@pytest.mark.parametrize(
    ("device", "memory", "native", "chosen"),
    [
        ("cpu", 24 * GIB, (), "float32"),
        ("cpu", 24 * GIB, ("bfloat16",), "bfloat16"),
        ("cpu", 16 * GIB, (), "bfloat16"),
        ("cpu", None, (), "float32"),
        ("cpu", 2 * GIB, (), "bfloat16"),
        ("cuda", None, (), "bfloat16"),
    ],
)
def test_auto(device, memory, native, chosen):
    assert choose_dtype(BOTH, Device(device, memory=memory, native=native), "auto") == chosen


def test_what_is_asked_for_is_taken_or_refused():
    assert choose_dtype(BOTH, Device("cpu", memory=GIB), "float32") == "float32"
    with pytest.raises(UsageError, match="m has no float16 on cpu"):
        choose_dtype(BOTH, Device("cpu"), "float16")


def test_a_model_that_lists_none_computes_in_float32():
    bare = manifest("{}")
    assert choose_dtype(bare, Device("cpu", memory=GIB), "auto") == "float32"
    with pytest.raises(UsageError, match="choose --dtype float32"):
        choose_dtype(bare, Device("cpu"), "bfloat16")


def test_data_types_have_short_names():
    assert choose_dtype(BOTH, Device("cpu"), "bf16") == "bfloat16"
    assert choose_dtype(BOTH, Device("cpu"), "fp32") == "float32"
