"""Which device `--device` means, and what is said where it is not the best or is not there."""

import msgspec
import pytest

from orchestrator.core.devices import Device, Machine, choose_device, with_equals
from orchestrator.core.manifest import Environment, Manifest, Output
from orchestrator.core.torch_builds import with_build
from orchestrator.errors import UsageError

GIB = 1 << 30
BOTH = Manifest(
    name="big",
    task="ocr",
    summary="Big",
    environment=Environment(python=">=3.10", dependencies=("torch==2.6.0", "torchvision==0.21.0")),
    inputs={},
    outputs={"text": Output(type="text")},
    devices=("cuda", "mps", "cpu"),
    memory={"cuda": {"bfloat16": "9 GiB"}, "cpu": {"float32": "16 GiB"}},
)
SMALL = msgspec.structs.replace(BOTH, name="small", devices=("cpu",), memory={})
CPU = Device("cpu", "the CPU", 32 * GIB)
ABSENT = {"cuda": "no driver is loaded", "mps": "it is for macOS"}


def card(number, memory=24 * GIB, **keys):
    return Device(f"cuda:{number}", f"GPU {number}", memory, ("bfloat16",), **keys)


def chosen(*devices, asked="auto", manifest=BOTH, **keys):
    device, note = choose_device(manifest, asked, Machine([CPU, *devices], ABSENT, **keys))
    return device.name, note


def test_a_machine_without_a_gpu_takes_the_cpu_without_a_word():
    assert chosen() == ("cpu", "")


def test_the_first_gpu_with_room():
    assert chosen(card(0), card(1))[0] == "cuda:0"
    name, note = chosen(card(0, 6 * GIB), card(1))
    assert name == "cuda:1"
    assert "not on cuda:0: it needs 9 GiB of memory, and GPU 0 has 6 GiB" in note


def test_a_gpu_that_is_too_small_leaves_the_cpu():
    assert chosen(card(0, 6 * GIB)) == (
        "cpu",
        "big runs on cpu, not on cuda:0: it needs 9 GiB of memory, and GPU 0 has 6 GiB",
    )


def test_a_gpu_with_a_problem_leaves_the_cpu():
    assert chosen(Device("cuda", problem="the driver does not answer")) == (
        "cpu",
        "big runs on cpu, not on cuda: the driver does not answer",
    )


def test_mps_is_taken_once_it_was_compared():
    assert chosen(Device("mps", untested="it was not compared"))[0] == "cpu"
    assert chosen(Device("mps")) == ("mps", "")
    assert chosen(Device("mps", untested="it was not compared"), asked="mps") == ("mps", "")


def test_where_none_has_room_the_first_is_taken_and_its_memory_refuses():
    tiny = msgspec.structs.replace(CPU, memory=GIB)
    assert choose_device(BOTH, "auto", Machine([tiny, card(0, GIB)]))[0].name == "cuda:0"


@pytest.mark.parametrize(
    ("asked", "name"), [("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_what_is_asked_for(asked, name):
    assert chosen(card(0), card(1), asked=asked)[0] == name


@pytest.mark.parametrize(
    ("asked", "equals"), [("auto", ("a", "b")), ("cuda", ("a", "b")), ("cuda:0", ()), ("cpu", ())]
)
def test_gpus_that_do_as_well(asked, equals):
    def gpu(number, memory=24 * GIB, pool=True, **keys):
        name = "abcde"[number]
        return card(number, memory, gpu=name, pool=name if pool else "", **keys)

    old = msgspec.structs.replace(gpu(4), native=())
    others = gpu(2, 6 * GIB), gpu(3, problem="a fault"), old, gpu(3, pool=False)
    machine = Machine([CPU, gpu(0), gpu(1), *others])
    device, _ = choose_device(BOTH, asked, machine)
    assert with_equals(BOTH, device, "bfloat16", machine, asked).equals == equals


def test_of_several_gpus_the_first_with_room_is_meant():
    assert chosen(card(0, GIB), card(1), asked="cuda")[0] == "cuda:1"
    assert chosen(card(0, GIB), asked="cuda")[0] == "cuda:0"


@pytest.mark.parametrize(
    ("asked", "manifest", "said"),
    [
        ("mps", SMALL, "small does not run on mps; choose --device cpu"),
        ("cuda:1", SMALL, "small does not run on cuda:1; choose --device cpu"),
        ("rocm", BOTH, "big does not run on rocm: no model here is built for AMD's ROCm; "),
        ("xpu", BOTH, "big does not run on xpu: no model here is built for Intel's XPU; "),
        ("gpu", BOTH, "big does not run on gpu; choose --device cuda|mps|cpu"),
        (
            "cuda",
            BOTH,
            (
                "big cannot run on cuda: this machine has cpu, and no cuda (no driver is loaded); "
                "choose --device auto"
            ),
        ),
        ("mps", BOTH, "big cannot run on mps: this machine has cpu, and no mps (it is for macOS)"),
    ],
)
def test_what_cannot_be_is_one_sentence(asked, manifest, said):
    with pytest.raises(UsageError) as caught:
        chosen(asked=asked, manifest=manifest)
    assert str(caught.value).startswith(said)


def test_a_number_that_no_gpu_has():
    with pytest.raises(UsageError, match="this machine has cpu, cuda:0, cuda:1;"):
        chosen(card(0), card(1), asked="cuda:2")


def test_a_model_for_gpus_alone():
    only = msgspec.structs.replace(BOTH, devices=("cuda",))
    with pytest.raises(UsageError) as caught:
        chosen(manifest=only)
    assert str(caught.value) == (
        "big runs on cuda, and this machine has cpu, and no cuda (no driver is loaded)"
    )


CU124 = {"torch": "2.6.0", "nvidia-cuda-runtime-cu12": "12.4.127"}


@pytest.mark.parametrize(
    ("packages", "capability", "driver", "said"),
    [
        (CU124, (8, 9), (12, 8), ""),
        (CU124, None, None, ""),
        ({}, (8, 9), (12, 8), ""),
        ({"torch": "2.6.0+cu126"}, (6, 1), (12, 8), ""),
        ({"torch": "2.7.1+cu128"}, (12, 1), (12, 8), ""),
        ({"torch": "2.9.1", "nvidia-cuda-runtime": "13.0.96"}, (7, 5), (13, 0), ""),
        (
            {"torch": "2.6.0"},  # as on linux-aarch64
            (9, 0),
            (12, 8),
            (
                "torch 2.6.0 of its lock is built for CPU alone; another build: "
                "mm env lock --mine big --torch cu126"
            ),
        ),
        (
            {"torch": "2.6.0+rocm6.2"},
            (8, 9),
            (12, 8),
            (
                "torch 2.6.0 of its lock is built for ROCM alone; another build: "
                "mm env lock --mine big --torch cu126"
            ),
        ),
        (
            CU124,
            (12, 0),
            (12, 8),
            (
                "torch 2.6.0 of its lock is built for CUDA 12.4, compute capability 5.0 to 9.x, "
                "and this GPU has 12.0; another build: mm env lock --mine big --torch cu128 "
                "--override torch==2.7.1 --override torchvision==0.22.1"
            ),
        ),
        (
            {"torch": "2.7.1+cu128"},
            (6, 1),
            (12, 8),
            (
                "torch 2.7.1 of its lock is built for CUDA 12.8, compute capability 7.0 to 12.x, "
                "and this GPU has 6.1; another build: mm env lock --mine big --torch cu126"
            ),
        ),
        (
            CU124,
            (8, 0),
            (11, 4),
            (
                "torch 2.6.0 of its lock is built for CUDA 12.4, and the driver knows CUDA 11.4: "
                "update the driver"
            ),
        ),
    ],
)
def test_the_locks_torch_decides_too(packages, capability, driver, said):
    machine = Machine([CPU, card(0, capability=capability)], cuda=driver)
    machine = with_build(machine, BOTH, packages)
    assert machine.why_not("cuda") == said
    name, note = choose_device(BOTH, "auto", machine)
    assert name.name == ("cpu" if said else "cuda:0")
    assert said in note
