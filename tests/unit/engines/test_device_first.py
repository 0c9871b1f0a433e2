"""The device is decided before weights are asked for, files fetched or an environment built."""

import pytest
from msgspec.structs import replace

from orchestrator.core.manifest import Source
from orchestrator.engines.preparing import LocalPreparer
from orchestrator.errors import SourceError, UsageError
from tests.fakes import FakeWorkspace


@pytest.fixture
def world(tmp_path):
    """A model whose weights are not there."""
    workspace = FakeWorkspace(tmp_path)
    source = Source(repo="owner/name", revision="main")
    manifest = replace(workspace.declared.manifest, source=source, devices=("cuda", "cpu"))
    workspace.declared = replace(workspace.declared, manifest=manifest)
    workspace.machine = replace(workspace.machine, devices=workspace.machine.of("cpu"))
    return workspace


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda", "cuda:1", "rocm"])
def test_what_cannot_be_is_said_before_weights_are_asked_for(world, device):
    preparer = LocalPreparer(world)
    with pytest.raises(SourceError):
        preparer.check(world.declared, "auto", "auto")
    with pytest.raises(UsageError):
        preparer.check(world.declared, device, "auto")
    with pytest.raises(UsageError):
        preparer.prepare(world.declared, device, "auto")
    assert world.environments.ensured == 0


def test_so_is_a_data_type(world):
    with pytest.raises(UsageError, match="echo has no float16 on cpu"):
        LocalPreparer(world).check(world.declared, "auto", "float16")
