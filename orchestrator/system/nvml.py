"""The free memory of NVIDIA's GPUs, from the driver's own library (NVML), without a package.

Names and structures are those of nvml.h; the library comes with every driver.
"""

from __future__ import annotations

import ctypes
from typing import Any

LIBRARY = "libnvidia-ml.so.1"


class _Memory(ctypes.Structure):
    """nvmlMemory_t: bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def free_memory(visible: str | None, library: Any = None) -> int | None:
    """Return the bytes that are free on the GPU that a model would take.

    That is the first one that CUDA_VISIBLE_DEVICES lets a process see.

    Args:
        visible: The value of CUDA_VISIBLE_DEVICES; None where it is not set.
        library: What to ask instead of the driver's library.

    Returns:
        None when there is no GPU or the driver does not answer.
    """
    if library is None:
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError:
            return None
    if library.nvmlInit_v2() != 0:
        return None
    try:
        handle = ctypes.c_void_p()
        if not _find(library, visible, handle):
            return None
        memory = _Memory()
        if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
            return None
        return int(memory.free)
    finally:
        library.nvmlShutdown()


def _find(library: Any, visible: str | None, handle: ctypes.c_void_p) -> bool:
    """Fill in the handle of the first visible GPU; return whether there is one."""
    first = "0" if visible is None else visible.split(",")[0].strip()
    if first.isdigit():
        number = ctypes.c_uint(int(first))
        return bool(library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)) == 0)
    if first.startswith(("GPU-", "MIG-")):
        name = ctypes.c_char_p(first.encode("ascii", "replace"))
        return bool(library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) == 0)
    return False
