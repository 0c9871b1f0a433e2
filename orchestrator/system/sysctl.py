"""Values of sysctl(3), by name: what macOS says of the machine, without a process."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _library() -> Any:
    try:
        return ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError):
        return None


def integer(name: str) -> int | None:
    """Return the value of a name, such as `hw.memsize`; None where there is no such name."""
    sysctlbyname = _library()
    if sysctlbyname is None:
        return None
    value = ctypes.c_uint64(0)  # an answer of 32 bits fills the lower half
    size = ctypes.c_size_t(ctypes.sizeof(value))
    failed = sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return None if failed else value.value


def text(name: str) -> str | None:
    """Return the short text of a name, such as `hw.perflevel0.name`; None where there is none."""
    sysctlbyname = _library()
    if sysctlbyname is None:
        return None
    value = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(value))
    failed = sysctlbyname(name.encode(), value, ctypes.byref(size), None, 0)
    return None if failed else value.value.decode("utf-8", "replace")
