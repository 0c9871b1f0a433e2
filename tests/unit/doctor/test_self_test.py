"""What two devices compute, compared; and what `auto` makes of it."""

import msgspec
import pytest

from orchestrator.catalog import Origin
from orchestrator.comparison import has_function
from orchestrator.core.devices import Device, Machine
from orchestrator.system.self_tests import SelfTest, save_self_test
from tests import models
from tests.fakes import FakeWorkspace


def test_a_runner_may_have_a_trace():
    assert has_function({"runner.py": "def trace(model, job): ..."}, "trace")
    assert has_function(
        {"runner/__init__.py": "from .model import trace", "runner/model.py": ""}, "trace"
    )
    assert not has_function({"runner.py": "def run(model, job): ..."}, "trace")


@pytest.fixture
def world(tmp_path):
    """A Mac with a model whose manifest lists mps first."""
    workspace = FakeWorkspace(tmp_path)
    declared = models.model(tmp_path, "echo").locked("")
    manifest = msgspec.structs.replace(declared.manifest, devices=("mps", "cpu"))
    workspace.declared = msgspec.structs.replace(declared, manifest=manifest, origin=Origin.OPTION)
    workspace.machine = Machine([Device("cpu", "the CPU"), Device("mps", "Apple's GPU")])
    workspace.basis = {"environment": "e", "runner": "r", "system": "23.5.0"}
    workspace.self_test_basis = lambda *_: workspace.basis
    return workspace


def chosen(world, device="auto"):
    return world.device_and_dtype(world.declared, device, "auto")[0].name


def keep(world, **changes):
    found = {"passed": True, "finding": "0.5", "steps": 2, "difference": 0.5, **changes}
    basis = dict(world.basis)
    save_self_test(
        world.home, SelfTest(model="echo", device="mps", dtype="float32", basis=basis, **found)
    )


def test_auto_takes_mps_after_a_self_test_alone(world):
    assert chosen(world) == "cpu"
    assert world.notes.notes == [
        (
            "echo runs on cpu, not on mps: it was not compared with the CPU on this machine; "
            "run: mm doctor echo --run --device mps"
        )
    ]
    assert chosen(world, "mps") == "mps"
    keep(world)
    assert chosen(world) == "mps"


def test_it_is_said_once(world):
    for _ in range(3):
        chosen(world)
    assert len(world.notes.notes) == 1


@pytest.mark.parametrize("name", ["environment", "runner", "system"])
def test_a_self_test_is_void_when_what_it_stands_on_changes(world, name):
    keep(world)
    world.basis[name] = "another"
    assert chosen(world) == "cpu"
    assert f"the {name} changed since it was compared with the CPU" in world.notes.notes[0]


def test_a_device_that_computes_something_else_is_passed_over(world):
    keep(world, passed=False, finding="another most likely token at step 1 of 2")
    assert chosen(world) == "cpu"
    assert "does not compute what the CPU does (another most likely" in world.notes.notes[0]


def test_a_damaged_record_counts_as_none(world):
    keep(world)
    next(world.home.self_tests.iterdir()).write_text("{")
    assert chosen(world) == "cpu"
