"""A device compared with the CPU, in real workers: one that is not there, and another data type."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.core.devices import Device, Machine
from orchestrator.doctor import compare_with_cpu
from orchestrator.workspace import Workspace
from tests.integration.conftest import MM, run_mm

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
SOURCE = """\
source: {repo: none/tiny, revision: main, include: ["*.bin"], size: 1 MB}
"""
RUNNER = """\
import os
from array import array


def load(context):
    assert context.device == "cpu" or os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    error = {"float32": 0, "bfloat16": 0.01, "float16": 0.5}[context.dtype]
    return error + (float(open(context.model_dir).read()) if context.model_dir else 0)


def miniature(context, path):
    with open(path, "w") as file:
        file.write("9" if context.dtype == "float16" else "1")


def run(model, job, *, text):
    return {"text": text}


def trace(model, job, *, text):
    assert run(model, job, text=text) == {"text": text}
    logits = array("f", [0, 1, 2, 3, 1 + model, 0])
    parts = {"vision": array("f", [model // 1]), "hidden": None, "projector": array("f", [model])}
    return {**parts, "logits": memoryview(logits).cast("B").cast("f", (2, 3))}
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
        "largest difference 0.5 over 2 vectors, allowed 0.06; they part at projector, "
        "against cpu in float32"
    )
    (path,) = declared.runner_places
    path.write_text(RUNNER.replace("0.5", "0.05"))
    assert compare_with_cpu(workspace, declared, "mps", "float16").passed
    assert workspace.device_and_dtype(declared, "auto", "auto")[0].name == "mps"
    path.write_text(RUNNER)
    assert workspace.device_and_dtype(declared, "auto", "auto")[0].name == "cpu"


def test_a_miniature_is_compared_before_there_are_weights(tiny):
    manifest = Path(tiny["MM_MANIFESTS"], "tiny.yaml")
    manifest.write_text(manifest.read_text() + SOURCE)
    command = [*MM, "doctor", "tiny", "--run", "--device", "cpu", "--dtype"]

    def doctor(dtype, *more):
        return subprocess.run(
            [*command, dtype, "--offline", *more],
            env={**os.environ, **tiny}, check=False, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    said = doctor("bfloat16").stdout
    assert "computes what the CPU does: miniature: largest difference 0.01 over 2 vectors" in said
    assert "failed: tiny needs its weights" in said
    found = json.loads(doctor("bfloat16", "--json").stdout)["run"]
    assert found["miniature"]["passed"]
    assert "self_test" not in found
    assert doctor("float32").stdout.count("\n") < said.count("\n")  # nothing to compare with


def test_a_miniature_that_differs_is_kept(tiny):
    workspace = Workspace(tiny, Path("/"))
    workspace.machine = Machine([Device("cpu", "the CPU"), Device("mps", "Apple's GPU")])
    declared = workspace.catalog.model("tiny")
    found = compare_with_cpu(workspace, declared, "mps", "float16", miniature=True)
    assert found.finding == (
        "miniature: another most likely token at step 2 of 2; they part at vision, "
        "against cpu in float32"
    )
    (device,) = workspace.machine_for(declared, "auto").of("mps")
    assert device.untested == f"it does not compute what the CPU does ({found.finding})"
    (path,) = declared.runner_places
    path.write_text(RUNNER.replace('"9"', "1 / 0"))
    failed = compare_with_cpu(workspace, declared, "mps", "float16", miniature=True)
    assert not failed.passed
    assert "ZeroDivisionError" in failed.finding
    path.write_text(RUNNER.replace("def miniature", "def other"))
    assert compare_with_cpu(workspace, declared, "mps", "float16", miniature=True) is None
