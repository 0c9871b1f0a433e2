"""Which GPUs there are, by libraries of a driver that are not there."""

import pytest

from orchestrator.system import gpus
from tests.nvidia import GIB, Card, FakeCuda, FakeNvml, nvml

HALVES = (Card("MIG-1"), Card("MIG-2"))
DIVIDED = Card("GPU-cc33", "NVIDIA H100", 80 * GIB, 9 * GIB, (9, 0), HALVES)


def missing(name):
    raise OSError(name)


def uuids(library, visible=None):
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = gpus.find_gpus(variables, library)
    assert bool(found.gpus) != bool(found.problem)
    return [gpu.uuid for gpu in found.gpus]


def test_a_gpu_and_what_its_driver_knows():
    library = nvml()
    found = gpus.find_gpus({}, library)
    first, second = found.gpus
    assert first == gpus.Gpu("GPU-aa11", "NVIDIA GeForce RTX 3060", 12 * GIB, (8, 6))
    assert (second.memory, second.capability) == (6 * GIB, (6, 1))
    assert found.cuda == (12, 8)
    assert library.open == 0


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        ("0", ["GPU-aa11"]),
        ("1, 0", ["GPU-ab22", "GPU-aa11"]),
        ("GPU-ab22", ["GPU-ab22"]),
        ("GPU-ab", ["GPU-ab22"]),
        ("GPU-a", []),  # of both
        ("1,7,0", ["GPU-ab22"]),  # the list ends at what is not there
        ("0,-1,1", ["GPU-aa11"]),
        ("0,0", []),
        ("", []),
        (" ", []),
        ("-1", []),
        ("7", []),
        ("NoDevFiles", []),
    ],
)
def test_the_variable_says_which_are_seen(visible, left):
    assert uuids(FakeNvml, visible) == left


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        (None, ["MIG-1", "GPU-aa11"]),
        ("0", ["MIG-1"]),
        ("MIG-2", ["MIG-2"]),
        ("GPU-cc", ["MIG-1"]),
    ],
)
def test_a_divided_gpu_is_its_first_part(visible, left):
    assert uuids(nvml(DIVIDED, FakeNvml.cards[0]), visible) == left


def test_a_gpu_that_is_to_be_divided_and_is_not_yet_is_none():
    empty = Card("GPU-dd44", divided=True)
    assert uuids(nvml(empty, FakeNvml.cards[0])) == ["GPU-aa11"]
    assert gpus.find_gpus({}, nvml(empty)).problem == "the driver lists no GPU that CUDA can use"


def test_a_part_has_its_own_memory_and_the_capability_of_the_whole():
    found = gpus.find_gpus({"CUDA_VISIBLE_DEVICES": "0"}, nvml(DIVIDED))
    assert found.gpus == (gpus.Gpu("MIG-1", "NVIDIA H100", 12 * GIB, (9, 0)),)


def test_a_driver_that_fails_says_why():
    found = gpus.find_gpus({}, nvml(broken=18))
    assert found.problem == "the driver does not answer (Driver/library version mismatch)"
    assert not found.library_is_missing


@pytest.mark.parametrize("installed", [missing, nvml(broken=9)], ids=["none", "of Linux"])
def test_wsl_has_its_libraries_in_a_directory_of_their_own(installed):
    def load(name):
        return (FakeNvml if name.startswith("/usr/lib/wsl/lib/") else installed)(name)

    found = gpus.find_gpus({}, load)
    assert len(found.gpus) == 2
    assert found.libraries == "/usr/lib/wsl/lib"


def test_a_container_that_was_given_the_device_and_no_library():
    found = gpus.find_gpus({}, missing)
    assert found.library_is_missing
    assert "libnvidia-ml.so.1 is not there" in found.problem


def test_where_there_is_no_nvml_the_cuda_driver_is_asked():
    found = gpus.find_gpus({}, FakeCuda)
    assert found.gpus == (gpus.Gpu("", "Orin", None, (8, 7)),)
    assert found.cuda == (12, 6)


def test_free_and_used_memory():
    card = Card("GPU-a", processes=((7, 2 * GIB), (8, 2**64 - 1)))
    assert gpus.free_memory("GPU-a", nvml(card)) == 3 * GIB
    assert gpus.free_memory("GPU-b", nvml(card)) is None
    assert gpus.free_memory("GPU-a", missing) is None
    assert gpus.used_memory("GPU-a", nvml(card)) == {7: 2 * GIB}
    assert gpus.used_memory("GPU-a", missing) == {}
