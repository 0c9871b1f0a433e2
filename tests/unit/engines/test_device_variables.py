"""The variables that a worker gets for its device."""

import pytest

from orchestrator.core.devices import Device, Machine
from orchestrator.engines.preparing import device_variables
from orchestrator.workspace import Workspace

WSL = "/usr/lib/wsl/lib"
HIGH, LOW = (f"PYTORCH_MPS_{which}_WATERMARK_RATIO" for which in ("HIGH", "LOW"))


@pytest.fixture
def variables(tmp_path):
    def variables(device, *, libraries="", **users):
        workspace = Workspace(users, tmp_path)
        workspace.machine = Machine([device], libraries=libraries)
        return device_variables(device, workspace)

    return variables


def test_a_worker_sees_its_own_gpu_alone(variables):
    found = variables(Device("cuda:1", gpu="GPU-b"), CUDA_VISIBLE_DEVICES="0,1")
    assert found == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-b"}


def test_a_gpu_without_a_name_is_left_to_the_variable(variables):
    assert variables(Device("cuda:0")) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_wsl_needs_its_directory_of_libraries(variables):
    gpu = Device("cuda:0", gpu="GPU-a")
    assert variables(gpu, libraries=WSL)["LD_LIBRARY_PATH"] == WSL
    found = variables(gpu, libraries=WSL, LD_LIBRARY_PATH="/opt/lib")
    assert found["LD_LIBRARY_PATH"] == f"/opt/lib:{WSL}"


FALLBACK = {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}


@pytest.mark.parametrize(
    ("users", "limits"),
    [
        ({}, {}),
        ({HIGH: "0"}, {HIGH: "1.0", LOW: "1.0"}),
        ({HIGH: "0.0", LOW: "0.5"}, {HIGH: "1.0"}),
        ({HIGH: "-"}, {HIGH: "1.0", LOW: "1.0"}),
        ({HIGH: "0.7"}, {HIGH: "0.7", LOW: "0.7"}),
        ({HIGH: "0.7", LOW: "0.5"}, {HIGH: "0.7"}),
        ({HIGH: "1.6"}, {HIGH: "1.6"}),
        ({LOW: "0.5"}, {}),
    ],
)
def test_mps_may_fall_back_and_has_limits_that_torch_takes(variables, users, limits):
    assert variables(Device("mps"), **users) == {**FALLBACK, **limits}


def test_a_cpu_needs_none(variables):
    assert variables(Device("cpu"), libraries=WSL) == {}
