"""A device compared with the CPU, in real workers: one that is not there, and another data type."""

import json
from pathlib import Path

import pytest

from orchestrator.core.devices import Device, Machine
from orchestrator.doctor import compare_with_cpu
from orchestrator.workspace import Workspace
from tests.integration.conftest import run_mm

MANIFEST = """\
name: tiny
task: try-tiny
summary: A model with logits
environment: {python: ">=3.10", dependencies: []}
devices: [mps, cpu]
memory: {cpu: {float32: 1 MiB, bfloat16: 1 MiB}, mps: {float16: 1 MiB}}
inputs: {text: {type: text, required: true}}
outputs: {text: {type: text}}
"""
RUNNER = """\
import os
from array import array


def load(context):
    assert context.device == "cpu" or os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    return {"float32": 0, "bfloat16": 0.01, "float16": 0.5}[context.dtype]


def run(model, job, *, text):
    return {"text": text}


def trace(model, job, *, text):
    assert run(model, job, text=text) == {"text": text}
    logits = array("f", [0, 1, 2, 3, 1 + model, 0])
    return {"logits": memoryview(logits).cast("B").cast("f", (2, 3)), "hidden": None}
"""


@pytest.fixture
def tiny(tmp_path, workplace):
    """Variables with the model `tiny`."""
    manifests, folder = tmp_path / "manifests", tmp_path / "envs" / "tiny"
    manifests.mkdir()
    folder.mkdir(parents=True)
    (manifests / "tiny.yaml").write_text(MANIFEST)
    (folder / "runner.py").write_text(RUNNER)
    variables = {**workplace, "MM_MANIFESTS": str(manifests)}
    run_mm(variables, "env", "lock", "tiny")
    return variables


def test_another_data_type_of_the_cpu(tiny):
    command = ("doctor", "tiny", "--run", "--device", "cpu", "--dtype", "bfloat16", "--offline")
    found = json.loads(run_mm(tiny, *command, "--json"))["run"]["self_test"]
    assert (found["passed"], found["steps"]) == (True, 2)
    assert found["difference"] == pytest.approx(0.01)
    said = run_mm(tiny, *command)
    assert "self-test: cpu in bfloat16 computes what the CPU does: largest difference" in said


def test_a_device_that_is_not_there(tiny):
    workspace = Workspace(tiny, Path("/"))
    workspace.machine = Machine([Device("cpu", "the CPU"), Device("mps", "Apple's GPU")])
    declared = workspace.catalog.model("tiny")
    found = compare_with_cpu(workspace, declared, "mps", "float16")
    assert not found.passed
    assert found.finding == (
        "largest difference 0.5 over 2 vectors, allowed 0.02, against cpu in float32"
    )
    (path,) = declared.runner_places
    path.write_text(RUNNER.replace("0.5", "0.015"))
    assert compare_with_cpu(workspace, declared, "mps", "float16").passed
    assert workspace.device_and_dtype(declared, "auto", "auto")[0].name == "mps"
    path.write_text(RUNNER)
    assert workspace.device_and_dtype(declared, "auto", "auto")[0].name == "cpu"
