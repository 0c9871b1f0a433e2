"""What macOS says of a process, of this machine and of a file, through calls of its C library.

No process is started for it. Each function returns None where there is no such call, on any other
system too. Names, numbers and layouts are those of XNU (apple-oss-distributions/xnu, tag
xnu-11417.101.15), in the header that stands beside each.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.system import sysctl

Ask = Callable[[str], int | None]
"""Returns a value of sysctl(3)."""

SZOMB = 5
"""bsd/sys/proc.h: a process that has ended and was not waited for."""


class ProcessInfo(ctypes.Structure):
    """struct proc_bsdinfo, bsd/sys/proc_info.h."""

    FLAVOR = 3  # PROC_PIDTBSDINFO
    _fields_ = (
        ("flags", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("exit_status", ctypes.c_uint32),
        ("ids", ctypes.c_uint32 * 8),
        ("reserved", ctypes.c_uint32),
        ("names", ctypes.c_char * 48),
        ("counts", ctypes.c_uint32 * 6),
        ("start_seconds", ctypes.c_uint64),
        ("start_microseconds", ctypes.c_uint64),
    )


class ResourceUsage(ctypes.Structure):
    """struct rusage_info_v0, bsd/sys/resource.h."""

    FLAVOR = 0  # RUSAGE_INFO_V0
    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        ("times", ctypes.c_uint64 * 5),
        ("wired", ctypes.c_uint64),
        ("resident", ctypes.c_uint64),
        ("footprint", ctypes.c_uint64),
        ("started", ctypes.c_uint64),
        ("ended", ctypes.c_uint64),
    )


class AttributeList(ctypes.Structure):
    """struct attrlist, bsd/sys/attr.h."""

    _fields_ = (
        ("count", ctypes.c_uint16),
        ("reserved", ctypes.c_uint16),
        ("groups", ctypes.c_uint32 * 5),
    )


class CloneAttributes(ctypes.Structure):
    """What getattrlist(2) returns for the two attributes: packed, in the order of their bits."""

    NAMES = 0x8 | 0x100  # ATTR_CMNEXT_PRIVATESIZE, ATTR_CMNEXT_CLONEID
    OPTIONS = 0x1 | 0x20  # FSOPT_NOFOLLOW, FSOPT_ATTR_CMN_EXTENDED
    _pack_ = 4
    _fields_ = (
        ("length", ctypes.c_uint32),
        ("private", ctypes.c_int64),
        ("stream", ctypes.c_uint64),
    )


class Clone(NamedTuple):
    """A file that may share its blocks with others."""

    stream: int
    """The id of its data on its volume; a clone that was not changed has the same."""
    private: int
    """Bytes that are given back when it is removed."""


def library() -> Any:
    """Return the C library, or whatever else this process has loaded."""
    return ctypes.CDLL(None)


def start_time(pid: int) -> str | None:
    """Return the second and microsecond at which a process began; empty when it is gone.

    A zombie is gone. The time is the clock's at that moment, in no zone.
    """
    call = getattr(library(), "proc_pidinfo", None)
    if call is None:
        return None
    info = ProcessInfo()
    size = ctypes.sizeof(info)
    if call(pid, info.FLAVOR, ctypes.c_uint64(0), ctypes.byref(info), size) != size:
        return ""
    ended = info.status == SZOMB
    return "" if ended else f"{info.start_seconds}.{info.start_microseconds:06d}"


def footprint(pid: int) -> int | None:
    """Return the bytes of memory that a process accounts for, buffers of the GPU included."""
    call = getattr(library(), "proc_pid_rusage", None)
    usage = ResourceUsage()
    if call is None or call(pid, usage.FLAVOR, ctypes.byref(usage)) != 0:
        return None
    return int(usage.footprint)


def free_memory(ask: Ask = sysctl.integer) -> int | None:
    """Return the bytes that can be had without a page being compressed or swapped.

    These are the pages that are free, hold files, or may be purged: what Activity Monitor does not
    count as used. host_statistics64 has them as well, and from two questions a second on, those of
    other programs included, may answer as it did up to a second ago (osfmk/kern/host.c).
    """
    pages = [ask(f"vm.page_{kind}_count") for kind in ("free", "pageable_external", "purgeable")]
    known = [number for number in pages if number is not None]
    return sum(known) * os.sysconf("SC_PAGE_SIZE") if len(known) == len(pages) else None


def working_set(memory: int, ask: Ask = sysctl.integer) -> int | None:
    """Return the bytes that the GPU of Apple silicon may use of a machine's `memory`.

    That is the user's own limit, or what Metal recommends (recommendedMaxWorkingSetSize): two
    thirds, and three quarters from 36 GiB on, as users of llama.cpp report.
    """
    limit = ask("iogpu.wired_limit_mb")
    if limit is None:
        return None
    usual = memory * 3 // 4 if memory >= 36 << 30 else memory * 2 // 3
    return limit << 20 or usual


def performance_cores(
    ask: Ask = sysctl.integer, name: Callable[[str], str | None] = sysctl.text
) -> int | None:
    """Return how many cores there are but efficiency cores; of Intel's, which are all alike, all.

    The first level holds not all of them: an M5 Max has 6 cores named Super, 12 named Performance,
    as fast but for a twentieth, and none named Efficiency.
    """
    fast = [
        ask(f"hw.perflevel{level}.physicalcpu") or 0
        for level in range(ask("hw.nperflevels") or 0)
        if name(f"hw.perflevel{level}.name") != "Efficiency"
    ]
    return sum(fast) or ask("hw.physicalcpu")


def clone(path: Path | str) -> Clone | None:
    """Return what a file shares with its clones; None where its file system has none."""
    call = getattr(library(), "getattrlist", None)
    wanted, found = AttributeList(5), CloneAttributes()
    wanted.groups[4] = found.NAMES
    if call is None or call(
        os.fsencode(path),
        ctypes.byref(wanted),
        ctypes.byref(found),
        ctypes.c_size_t(ctypes.sizeof(found)),
        ctypes.c_uint32(found.OPTIONS),
    ):
        return None
    return Clone(found.stream, found.private)
