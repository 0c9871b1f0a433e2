"""The libraries of NVIDIA's driver, as far as they are called, with GPUs that are not there."""
# ruff: noqa: N802 - the names are the driver's

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, NamedTuple

GIB = 1 << 30
NOT_SUPPORTED, NOT_FOUND = 3, 6


class Card(NamedTuple):
    """A GPU, or a part of one."""

    uuid: str
    name: str = "NVIDIA GeForce RTX 3060"
    total: int | None = 12 * GIB
    free: int = 3 * GIB
    capability: tuple[int, int] = (8, 6)
    parts: tuple[Any, ...] = ()
    processes: tuple[tuple[int, int], ...] = ()
    divided: bool = False


class FakeNvml:
    """NVML with these cards, in the order of their places on the bus.

    Args:
        name: Of the library that is opened; any.
    """

    cards: tuple[Card, ...] = (
        Card("GPU-aa11"),
        Card("GPU-ab22", "NVIDIA GeForce GTX 1060", 6 * GIB, 5 * GIB, (6, 1)),
    )
    broken: ClassVar[int] = 0
    open = 0

    def __init__(self, name: str = "") -> None:
        self.name = name

        def words(code: int) -> bytes:
            return {18: b"Driver/library version mismatch"}.get(code, b"Unknown Error")

        self.nvmlErrorString = words  # a function, which takes a `restype`; a method does not
        self._known = [each for card in self.cards for each in (card, *card.parts)]

    def nvmlInit_v2(self) -> int:
        if not self.broken:
            type(self).open += 1
        return self.broken

    def nvmlShutdown(self) -> int:
        type(self).open -= 1
        return 0

    def nvmlSystemGetCudaDriverVersion_v2(self, version: Any) -> int:
        version._obj.value = 12080
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.cards)
        return 0

    def _fill(self, handle: Any, card: Card | None) -> int:
        if card is None:
            return NOT_FOUND
        handle._obj.value = self._known.index(card) + 1
        return 0

    def _card(self, handle: Any) -> Card:
        return self._known[handle.value - 1]

    def nvmlDeviceGetHandleByIndex_v2(self, number: Any, handle: Any) -> int:
        return self._fill(handle, self.cards[number.value])

    def nvmlDeviceGetHandleByUUID(self, name: Any, handle: Any) -> int:
        uuid = name.value.decode()
        return self._fill(handle, next((each for each in self._known if each.uuid == uuid), None))

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:
        count._obj.value = 7  # whether it is divided or not
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, number: Any, part: Any) -> int:
        parts = self._card(handle).parts
        return self._fill(part, parts[number.value] if number.value < len(parts) else None)

    def nvmlDeviceGetMigMode(self, handle: Any, now: Any, later: Any) -> int:
        now._obj.value = later._obj.value = self._card(handle).divided
        return 0

    def nvmlDeviceGetUUID(self, handle: Any, text: Any, _size: Any) -> int:
        text.value = self._card(handle).uuid.encode()
        return 0

    def nvmlDeviceGetName(self, handle: Any, text: Any, _size: Any) -> int:
        text.value = self._card(handle).name.encode()
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any, major: Any, minor: Any) -> int:
        major._obj.value, minor._obj.value = self._card(handle).capability
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        card = self._card(handle)
        if card.total is None:
            return NOT_SUPPORTED
        memory._obj.total, memory._obj.free = card.total, card.free
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, found: Any) -> int:
        processes = self._card(handle).processes
        count._obj.value = len(processes)
        for entry, (pid, used) in zip(found, processes, strict=False):
            entry.pid, entry.used = pid, used
        return 0


def nvml(*cards: Card, **changes: Any) -> type[FakeNvml]:
    """Return a library with other cards, or one that fails."""
    return type("Nvml", (FakeNvml,), {"cards": cards or FakeNvml.cards, "open": 0, **changes})


class FakeCuda:
    """The driver's own library, on a board of its maker's that has no NVML."""

    def __init__(self, name: str) -> None:
        if "nvidia-ml" in name:
            raise OSError(f"{name}: cannot open shared object file")

    def cuInit(self, flags: int) -> int:
        return flags

    def cuDriverGetVersion(self, version: Any) -> None:
        version._obj.value = 12060

    def cuDeviceGetCount(self, count: Any) -> None:
        count._obj.value = 1

    def cuDeviceGet(self, device: Any, number: int) -> None:
        device._obj.value = number

    def cuDeviceGetName(self, text: Any, _size: int, _device: ctypes.c_int) -> None:
        text.value = b"Orin"

    def cuDeviceTotalMem_v2(self, total: Any, _device: ctypes.c_int) -> None:
        total._obj.value = 60 * GIB

    def cuDeviceGetAttribute(self, value: Any, which: int, _device: ctypes.c_int) -> None:
        value._obj.value = {75: 8, 76: 7, 18: 1}[which]
