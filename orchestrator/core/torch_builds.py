"""What the torch of an environment was built for, from the versions of its lock alone.

Which compute capabilities a build has is what PyTorch's own build scripts say (.ci/manywheel).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.core.devices import Machine
    from orchestrator.core.manifest import Manifest

Version = tuple[int, int]

UPDATE = "update the driver"

CAPABILITIES: dict[Version, tuple[Version, int]] = {
    (11, 8): ((3, 7), 9),
    (12, 1): ((5, 0), 9),
    (12, 4): ((5, 0), 9),
    (12, 6): ((5, 0), 9),
    (12, 8): ((7, 0), 12),
    (12, 9): ((7, 0), 12),
    (13, 0): ((7, 5), 12),
}
"""The lowest compute capability that a build for a CUDA has, and the highest major number."""

RUNTIMES = re.compile("nvidia-cuda-runtime(-cu[0-9]+)?|cuda-toolkit")
"""Packages whose version is that of the CUDA that torch was built for."""

TOGETHER = {
    "2.7.1": {"torchvision": "0.22.1", "torchaudio": "2.7.1"},
    "2.9.1": {"torchvision": "0.24.1", "torchaudio": "2.9.1"},
}
"""Packages that go with a torch and no other."""


class TorchBuild(msgspec.Struct, frozen=True):
    """A build of torch.

    Attributes:
        version: Its version.
        kind: "cpu", "cuda", "rocm" or "xpu".
        cuda: The CUDA that it is for; None where that is not known.
    """

    version: str
    kind: str
    cuda: Version | None = None


def torch_build(packages: Mapping[str, str]) -> TorchBuild | None:
    """Return which torch an environment with these packages has; None where it has none.

    Args:
        packages: Versions by normalised name.
    """
    if "torch" not in packages:
        return None
    version, _, local = packages["torch"].partition("+")
    if local.startswith("cu"):
        digits = local.removeprefix("cu")
        cuda = (int(digits[:-1]), int(digits[-1])) if digits[1:].isdecimal() else None
        return TorchBuild(version, "cuda", cuda)
    for kind in ("cpu", "rocm", "xpu"):
        if local.startswith(kind):
            return TorchBuild(version, kind)
    for name, found in packages.items():
        if RUNTIMES.fullmatch(name) and (numbers := re.match(r"(\d+)\.(\d+)", found)):
            return TorchBuild(version, "cuda", (int(numbers[1]), int(numbers[2])))
    return TorchBuild(version, "cpu")


def build_obstacle(
    build: TorchBuild, capability: Version | None, driver: Version | None
) -> str | None:
    """Return why a build does not run on a GPU of NVIDIA's, or None.

    Args:
        build: The build.
        capability: The GPU's compute capability; None where that is not known.
        driver: The newest CUDA that its driver knows; None where that is not known.
    """
    if build.kind != "cuda":
        return f"torch {build.version} of its lock is built for {build.kind.upper()} alone"
    if build.cuda is None:
        return None
    if driver is not None and driver[0] < build.cuda[0]:
        return (
            f"torch {build.version} of its lock is built for CUDA {_dotted(build.cuda)}, and the "
            f"driver knows CUDA {_dotted(driver)}: {UPDATE}"
        )
    lowest, highest = CAPABILITIES.get(build.cuda, ((0, 0), 99))
    if capability is not None and not (lowest <= capability and capability[0] <= highest):
        return (
            f"torch {build.version} of its lock is built for CUDA {_dotted(build.cuda)}, compute "
            f"capability {_dotted(lowest)} to {highest}.x, and this GPU has {_dotted(capability)}"
        )
    return None


def with_build(machine: Machine, manifest: Manifest, packages: Mapping[str, str]) -> Machine:
    """Return a machine with what keeps a model's torch from its GPUs of NVIDIA's.

    Args:
        machine: The machine.
        manifest: The model's manifest.
        packages: The versions in its lock; nothing is said of a model without torch.
    """
    build = torch_build(packages)
    if build is None:
        return machine
    devices = []
    for device in machine.devices:
        if device.kind == "cuda" and not device.problem:
            why = build_obstacle(build, device.capability, machine.cuda)
            if why is not None and not why.endswith(UPDATE):
                dependencies = manifest.environment.dependencies
                command = lock_command(manifest.name, build, device.capability, dependencies)
                why = f"{why}; another build: {command}"
            device = replace(device, problem=why or "")  # noqa: PLW2901
        devices.append(device)
    return replace(machine, devices=devices)


def lock_command(
    model: str, build: TorchBuild, capability: Version | None, dependencies: Sequence[str]
) -> str:
    """Return the command that locks a build of torch for a GPU, of a release that has one.

    Args:
        model: The model.
        build: What its lock has.
        capability: The GPU's compute capability; None where that is not known.
        dependencies: The requirements of its manifest.
    """
    major = capability[0] if capability is not None else 0
    backend, torch = "cu126", build.version
    if major >= 10:
        backend, torch = ("cu130", "2.9.1") if major == 11 else ("cu128", "2.7.1")
    overrides = [f"torch=={torch}"] if _older(build.version, torch) else []
    if overrides:
        names = {re.split(r"[^A-Za-z0-9-]", each)[0] for each in dependencies}
        overrides += [f"{n}=={v}" for n, v in TOGETHER[torch].items() if n in names]
    words = ["mm", "env", "lock", "--mine", model, "--torch", backend]
    return shlex.join([*words, *(word for each in overrides for word in ("--override", each))])


def _older(one: str, other: str) -> bool:
    numbers = [[int(part) for part in re.findall(r"\d+", each)[:2]] for each in (one, other)]
    return numbers[0] < numbers[1]


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
