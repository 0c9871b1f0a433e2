"""The devices of a machine, on trees that look like those of real machines."""

import pytest

from orchestrator.core.devices import Device
from orchestrator.system.device_discovery import System, find_devices
from orchestrator.system.processor import native_dtypes
from tests.nvidia import GIB, Card, nvml

M2 = {"hw.optional.arm.FEAT_BF16": 1, "hw.optional.arm.FEAT_FP16": 1}
M1 = {"hw.optional.arm.FEAT_FP16": 1}


@pytest.fixture
def root(tmp_path):
    """Return the root of a machine with 32 GiB."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: {32 << 20} kB\n")
    return tmp_path


def system(name="linux", machine="x86_64", release="", **values):
    known = {key.replace("__", "."): value for key, value in values.items()}
    return System(name, machine, release, known.get)


def on_linux(root, *cards):
    (root / "dev").mkdir()
    (root / "dev/nvidiactl").touch()
    return find_devices({}, root, nvml(*cards), system())


def test_a_laptop(root):
    found = find_devices({}, root, None, system())
    assert found.usable == ("cpu", "mlx")
    assert found.of("mlx")[0] == Device("mlx", "MLX on the CPU", 32 * GIB, ["float32"])
    assert found.absent == {
        "cuda": "no driver of NVIDIA's is loaded",
        "mps": "it is for macOS on Apple silicon",
    }


def test_gpus_are_numbered_and_know_what_they_are_fast_in(root):
    found = on_linux(root)
    new, old = found.of("cuda")
    assert (new.name, new.gpu, new.memory) == ("cuda:0", "GPU-aa11", 12 * GIB)
    assert new.pool == "GPU-aa11"
    assert (old.name, old.gpu) == ("cuda:1", "GPU-ab22")
    assert "bfloat16" in new.native
    assert "bfloat16" not in old.native
    assert "float16" in old.native
    assert found.memory == {"cpu": 32 * GIB, "cuda": 12 * GIB, "mlx": 32 * GIB}


def test_a_gpu_that_shares_the_machines_memory_has_all_of_it(root):
    found = on_linux(root, Card("GPU-a", "NVIDIA GB10", None, capability=(12, 1)))
    assert found.memory["cuda"] == 32 * GIB
    assert found.of("cuda")[0].pool == ""


def test_a_hidden_gpu_is_there_and_not_usable(root):
    (root / "dev").mkdir()
    (root / "dev/nvidiactl").touch()
    found = find_devices({"CUDA_VISIBLE_DEVICES": ""}, root, None, system())
    assert found.usable == ("cpu", "mlx")
    assert found.why_not("cuda") == "CUDA_VISIBLE_DEVICES= hides every GPU of NVIDIA's"


@pytest.mark.parametrize(
    ("driver", "known"),
    [("dev/dxg", True), ("proc/driver/nvidia/version", True), ("dev/nvidiactl", False)],
)
def test_some_files_of_drivers_are_there_without_a_gpu_for_us(root, driver, known):
    (root / driver).parent.mkdir(parents=True, exist_ok=True)
    (root / driver).touch()

    def missing(name):
        raise OSError(name)

    found = find_devices({}, root, missing, system())
    assert ("cuda" in found.absent) is known
    assert found.usable == ("cpu", "mlx")
    assert "libnvidia-ml.so.1 is not there" in found.why_not("cuda")


def test_the_first_to_ask_may_make_the_drivers_files(root):
    (root / "proc/driver/nvidia").mkdir(parents=True)
    (root / "proc/driver/nvidia/version").touch()
    assert "cuda" in find_devices({}, root, nvml(), system()).usable


@pytest.mark.parametrize(
    ("values", "native"), [(M2, ("bfloat16", "float16")), (M1, ("float16",)), ({}, ())]
)
def test_what_apples_processors_are_fast_in(tmp_path, values, native):
    assert native_dtypes(tmp_path, values.get) == native
    mac = System("darwin", "arm64", "14.5", values.get)
    assert find_devices({}, tmp_path, None, mac).of("cpu")[0].native == native


def test_a_mac(tmp_path):
    found = find_devices({}, tmp_path, None, system("darwin", "arm64", "15.1"))
    assert found.usable == ("cpu", "mps", "mlx")
    assert "bfloat16" in found.of("mps")[0].native
    (mlx,) = found.of("mlx")
    assert (mlx.label, mlx.pool, mlx.native) == ("Apple's GPU", "", found.of("mps")[0].native)


@pytest.mark.parametrize(
    ("mac", "why"),
    [
        (system("darwin", "arm64", "13.6.1"), "it needs macOS 14, and this is 13.6.1"),
        (system("darwin", "x86_64", "14.5"), "it is for Apple silicon, and this Mac has Intel"),
        (
            system("darwin", "x86_64", "14.5", hw__optional__arm64=1),
            (
                "this Python is built for Intel and runs under Rosetta: "
                "install an arm64 Python, and mm in it"
            ),
        ),
    ],
)
def test_macs_without_mps_say_why(tmp_path, mac, why):
    found = find_devices({}, tmp_path, None, mac)
    assert found.usable == ("cpu",)
    assert found.why_not("mps") == found.why_not("mlx") == why
