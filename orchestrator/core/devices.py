"""Which device and data type a job runs with: a pure choice from the manifest and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.units import format_size, parse_size
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchestrator.core.manifest import Manifest

AUTO = "auto"
DEFAULT = "float32"
"""The data type of a model whose manifest lists none."""

SHORT = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""What people call data types as well."""

UNSUPPORTED = {"rocm": "AMD's ROCm", "hip": "AMD's ROCm", "xpu": "Intel's XPU"}
"""Devices that torch has builds for, and no model here."""


class Device(msgspec.Struct, frozen=True):
    """One device of a machine.

    Attributes:
        name: "cpu", "mps", "mlx", or "cuda:0", "cuda:1" and so on in the order of nvidia-smi;
            "cuda" where no single one is meant.
        label: What messages call it.
        memory: Bytes of its memory in all; None where that is not known, which counts as enough.
        native: The data types that it is fast in; on a CPU, those beside float32.
        problem: Why nothing runs on it; empty where nothing is in the way.
        untested: Why `auto` passes it over; empty where it does not.
        gpu: Its name for the driver.
        pool: The memory that workers on it take: the name of its GPU, or nothing for the machine's
            own, which Apple's GPU and some of NVIDIA's share.
        capability: The compute capability of one of NVIDIA's.
        equals: The names for the driver of those that a model may run on just as well, this one
            included; empty where it was asked for by its number, or is the only one.
    """

    name: str
    label: str = ""
    memory: int | None = None
    native: Collection[str] = ()
    problem: str = ""
    untested: str = ""
    gpu: str = ""
    pool: str = ""
    capability: tuple[int, int] | None = None
    equals: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What manifests and runners call it: "cpu", "cuda", "mps" or "mlx"."""
        return self.name.partition(":")[0]


class Machine(msgspec.Struct, frozen=True):
    """The devices of a machine or a cluster.

    Attributes:
        devices: What there is, with what is in the way of using it.
        absent: Why a kind of device is not there, by kind.
        place: What messages call it.
        cuda: The newest CUDA that the driver knows.
        libraries: A directory that a worker on a GPU needs for the driver's libraries; mostly none.
    """

    devices: Sequence[Device]
    absent: Mapping[str, str] = {}
    place: str = "this machine"
    cuda: tuple[int, int] | None = None
    libraries: str = ""

    def of(self, kind: str) -> list[Device]:
        """Return its devices of a kind."""
        return [device for device in self.devices if device.kind == kind]

    @property
    def usable(self) -> tuple[str, ...]:
        """The kinds of device that models can run on."""
        return tuple(dict.fromkeys(each.kind for each in self.devices if not each.problem))

    @property
    def memory(self) -> dict[str, int | None]:
        """Bytes of memory by kind of device that models can run on; of several, the most."""
        found: dict[str, int | None] = {}
        for kind in self.usable:
            sizes = [device.memory for device in self.of(kind) if not device.problem]
            known = [size for size in sizes if size is not None]
            found[kind] = max(known) if len(known) == len(sizes) else None
        return found

    def with_untested(self, kind: str, why: str) -> Machine:
        """Return the machine with the reason for which `auto` passes a kind of device over."""
        replace = msgspec.structs.replace
        devices = [
            replace(each, untested=why) if each.kind == kind else each for each in self.devices
        ]
        return replace(self, devices=devices)

    def why_not(self, kind: str) -> str:
        """Return why there is no device of a kind that models can run on."""
        problems = [device.problem for device in self.of(kind)]
        return "; ".join(dict.fromkeys(problems)) or self.absent.get(kind, "")


def choose_device(manifest: Manifest, asked: str, machine: Machine) -> tuple[Device, str]:
    """Return the device, and what to say of better ones that `auto` passed over, or nothing.

    That is the one asked for, or the first of those that the manifest lists which is there, is
    usable and has the memory that the model needs; if none has, the first that is usable.

    Args:
        manifest: The model's manifest.
        asked: "auto", or a device.
        machine: What there is.

    Raises:
        UsageError: When the manifest does not list it, or the machine does not have it.
    """
    if asked != AUTO:
        return _asked(manifest, asked, machine), ""
    passed: dict[str, str] = {}
    small: list[Device] = []
    for device in (each for kind in manifest.devices for each in machine.of(kind)):
        need = manifest.smallest_memory(device.kind)
        why = device.problem or device.untested
        if not why and device.memory is not None and need > device.memory:
            small.append(device)
            why = (
                f"it needs {format_size(need, binary=True)} of memory, and {device.label} has "
                f"{format_size(device.memory, binary=True)}"
            )
        if not why:
            reasons = "; ".join(f"not on {name}: {reason}" for name, reason in passed.items())
            return device, reasons and f"{manifest.name} runs on {device.name}, {reasons}"
        passed[device.name] = why
    if small:
        return small[0], ""
    raise UsageError(
        f"{manifest.name} runs on {' or '.join(manifest.devices)}, and "
        f"{_has(machine, manifest.devices)}"
    )


def with_equals(
    manifest: Manifest, device: Device, dtype: str, machine: Machine, asked: str
) -> Device:
    """Return a device that was chosen, with its equals: GPUs that run the model in that data type.

    Args:
        manifest: The model's manifest.
        device: The device.
        dtype: The data type.
        machine: What there is.
        asked: "auto", or the device that was asked for.
    """
    sizes: dict[str, str] = dict(manifest.memory.get(device.kind, {}))  # type: ignore[call-overload]
    need = parse_size(sizes[dtype]) if dtype in sizes else 0
    equals = tuple(
        each.gpu
        for each in machine.of(device.kind)
        if each.pool and not each.problem and (each.memory is None or need <= each.memory)
        if (dtype in each.native) == (dtype in device.native)
    )
    if ":" in asked or len(equals) < 2 or device.gpu not in equals:
        return device
    return msgspec.structs.replace(device, equals=equals)


def named_device(manifest: Manifest, asked: str) -> Device:
    """Return the device that was asked for, which need not be there: nothing is to be run on it.

    Raises:
        UsageError: When the manifest does not list it.
    """
    return _asked(manifest, asked, Machine([Device(asked.partition(":")[0])]))


def _asked(manifest: Manifest, asked: str, machine: Machine) -> Device:
    """Return the device that was asked for by name.

    Raises:
        UsageError: When the manifest does not list it, or the machine does not have it.
    """
    kind, _, number = asked.partition(":")
    listed = manifest.devices
    if kind not in listed:
        maker = f": no model here is built for {UNSUPPORTED[kind]}" if kind in UNSUPPORTED else ""
        raise UsageError(
            f"{manifest.name} does not run on {asked}{maker}",
            fix=f"choose --device {'|'.join(listed)}",
            fix_in_code=f"pass device={' or '.join(map(repr, listed))}",
        )
    usable = [
        device
        for device in machine.of(kind)
        if not device.problem and (not number or device.name in (kind, asked))
    ]
    if usable:
        need = manifest.smallest_memory(kind)
        fitting = [each for each in usable if each.memory is None or need <= each.memory]
        return (fitting or usable)[0]
    raise UsageError(
        f"{manifest.name} cannot run on {asked}: {_has(machine, [kind], number)}",
        fix="choose --device auto",
        fix_in_code='pass device="auto"',
    )


def _has(machine: Machine, kinds: Sequence[str], number: str = "") -> str:
    """Return what a machine has, and why devices of `kinds` are not among it."""
    names = [device.name for device in machine.devices if not device.problem]
    absent = [
        f"no {kind} ({reason})" if (reason := machine.why_not(kind)) else f"no {kind}"
        for kind in kinds
        if kind not in machine.usable
    ]
    if number and not absent:
        return f"{machine.place} has {', '.join(names)}"
    return f"{machine.place} has {' and '.join(machine.usable)}, and {', '.join(absent)}"


def choose_dtype(manifest: Manifest, device: Device, asked: str) -> str:
    """Return the data type: the one asked for, or the best that is listed for `device`.

    The best is the first listed that fits into memory and that the device is fast in, else the
    first that fits, else the smallest, and the error then gives the figures of its memory.

    Args:
        manifest: The model's manifest.
        device: The device that was chosen.
        asked: "auto", or a data type.

    Raises:
        UsageError: When the manifest does not list it for the device.
    """
    asked = SHORT.get(asked, asked)
    sizes: dict[str, str] = dict(manifest.memory.get(device.kind, {}))  # type: ignore[call-overload]
    listed = list(sizes) or [DEFAULT]
    if asked != AUTO:
        if asked not in listed:
            raise UsageError(
                f"{manifest.name} has no {asked} on {device.kind}",
                fix=f"choose --dtype {'|'.join(listed)}",
                fix_in_code=f"pass dtype={' or '.join(map(repr, listed))}",
            )
        return asked
    needs = {dtype: parse_size(size) for dtype, size in sizes.items()}
    has = device.memory
    fitting = [dtype for dtype in listed if has is None or needs.get(dtype, 0) <= has]
    if not fitting:
        return min(listed, key=lambda dtype: needs[dtype])
    return next((dtype for dtype in fitting if dtype in device.native), fitting[0])
