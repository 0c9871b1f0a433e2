"""The devices of this machine, and why a kind of device is not among them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core.devices import Device, Machine
from orchestrator.core.platforms import MACOS
from orchestrator.system import machine, processor
from orchestrator.system.processor import sysctl

if TYPE_CHECKING:
    from orchestrator.system.gpus import Gpu, Load

DRIVERS = ("dev/nvidiactl", "dev/nvgpu", "dev/nvhost-ctrl-gpu")
"""Files that are there where a driver is loaded and lets us in: Linux, and two of Jetson boards."""

PERHAPS = ("dev/dxg", "proc/driver/nvidia/version")
"""Files that are there in every WSL2, and in every container of a machine with a driver; also where
the driver's first user makes the files in /dev, as after the start of a machine without a screen
(nvidia-modprobe(1))."""

BFLOAT16 = (8, 0)
"""The lowest compute capability that computes in bfloat16."""

INSTALL_ARM64 = "install an arm64 Python, and mm in it"


class System(NamedTuple):
    """What the system says of itself.

    Attributes:
        name: As `sys.platform` has it.
        machine: As `platform.machine()` has it.
        release: The release of macOS; empty elsewhere.
        sysctl: Returns a value of sysctl(3) by its name.
    """

    name: str
    machine: str
    release: str = ""
    sysctl: Callable[[str], int | None] = sysctl

    @property
    def is_apple_silicon(self) -> bool:
        """Whether the processor is Apple's, whatever this Python was built for."""
        arm64 = self.machine == "arm64" or self.sysctl("hw.optional.arm64")
        return self.name == "darwin" and bool(arm64)


def this_system() -> System:
    """Return what the system under us says."""
    release = ""
    if sys.platform == "darwin":
        import platform  # its imports cost every command

        release = platform.mac_ver()[0]
    return System(sys.platform, os.uname().machine, release)


def drivers(root: Path = machine.ROOT) -> list[str]:
    """Return which of NVIDIA's drivers may be loaded, without asking them."""
    return [name for name in (*DRIVERS, *PERHAPS) if (root / name).exists()]


def find_devices(
    variables: Mapping[str, str],
    root: Path = machine.ROOT,
    load: Load | None = None,
    system: System | None = None,
) -> Machine:
    """Return the devices that models could run on here.

    Args:
        variables: The user's variables, of which CUDA_VISIBLE_DEVICES counts.
        root: Where the system's own files are, for tests on trees that look like one.
        load: Opens the libraries of NVIDIA's driver, for tests.
        system: What the system says of itself.
    """
    system = system or this_system()
    total = machine.total_memory(root)
    native = processor.native_dtypes(root, system.sysctl)
    devices = [Device("cpu", "the CPU", total, native)]
    absent = {}
    cuda, libraries = None, ""
    if loaded := drivers(root):
        from orchestrator.system import gpus  # its imports cost every command

        found = gpus.find_gpus(variables, load or gpus.LOAD)
        cuda, libraries = found.cuda, found.libraries
        devices += [_of_nvidia(number, gpu, total) for number, gpu in enumerate(found.gpus)]
        if found.problem and found.library_is_missing and not {*loaded} & {*DRIVERS}:
            absent["cuda"] = found.problem
        elif found.problem:
            devices.append(Device("cuda", "NVIDIA's GPU", problem=found.problem))
    else:
        absent["cuda"] = "no driver of NVIDIA's is loaded"
    why = _no_apple_gpu(system)
    if why is None:
        problem = too_old(system.release)
        fast = ["bfloat16", "float16", "float32"]
        devices += [Device(kind, "Apple's GPU", total, fast, problem) for kind in machine.APPLE]
    else:
        absent["mps"] = absent["mlx"] = why
    if system.name == "linux":  # its build for the CPU
        devices.append(Device("mlx", "MLX on the CPU", total, ["float32"]))
        del absent["mlx"]
    return Machine(devices, absent, cuda=cuda, libraries=libraries)


def _of_nvidia(number: int, gpu: Gpu, total: int) -> Device:
    fast = ["float16", "float32"]
    if gpu.capability is None or gpu.capability >= BFLOAT16:
        fast.append("bfloat16")
    return Device(
        name=f"cuda:{number}",
        label=gpu.name,
        memory=total if gpu.memory is None else gpu.memory,
        native=fast,
        gpu=gpu.uuid,
        pool="" if gpu.memory is None else gpu.uuid or "cuda",
        capability=gpu.capability,
    )


def _no_apple_gpu(system: System) -> str | None:
    """Return why there is no GPU of Apple's for torch and MLX, or None."""
    if system.name != "darwin":
        return "it is for macOS on Apple silicon"
    if not system.is_apple_silicon:
        return "it is for Apple silicon, and this Mac has Intel"
    if system.machine != "arm64":
        return f"this Python is built for Intel and runs under Rosetta: {INSTALL_ARM64}"
    return None


def too_old(release: str) -> str:
    """Return what is wrong with a release of macOS; nothing, also where there is no macOS."""
    numbers = [int(part) for part in release.split(".") if part.isdecimal()]
    if not numbers or tuple(numbers) >= MACOS:
        return ""
    return f"it needs macOS {MACOS[0]}, and this is {release}"
