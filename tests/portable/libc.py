"""The calls of macOS's C library that `mm` makes, answered from Linux's own files."""

import os
from typing import Any

from orchestrator.system import machine


class Libc:
    """Answers for this machine."""

    def proc_pidinfo(self, pid: int, flavor: int, _: Any, buffer: Any, size: int) -> int:
        """Fill in a `struct proc_bsdinfo` (PROC_PIDTBSDINFO); no zombie is found."""
        assert flavor == 3
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
                fields = stream.read().rpartition(")")[2].split()
        except OSError:
            return 0
        if fields[0] in "ZX":
            return 0
        ticks = os.sysconf("SC_CLK_TCK")
        info = buffer._obj
        info.start_seconds, rest = divmod(int(fields[19]), ticks)
        info.start_microseconds = rest * 1_000_000 // ticks
        return size

    def proc_pid_rusage(self, pid: int, flavor: int, buffer: Any) -> int:
        """Fill in a `struct rusage_info_v0` (RUSAGE_INFO_V0)."""
        assert flavor == 0
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
                pages = int(stream.read().split()[1])
        except OSError:
            return -1
        buffer._obj.footprint = pages * os.sysconf("SC_PAGE_SIZE")
        return 0

    def sysctlbyname(self, name: bytes, value: Any, _size: Any, _new: Any, _length: int) -> int:
        """Answer how many pages are free, and that no other of them can be had."""
        if not name.startswith(b"vm.page_"):
            return -1
        available = machine._meminfo(machine.ROOT, "MemAvailable") or 0
        free = name == b"vm.page_free_count"
        value._obj.value = available // os.sysconf("SC_PAGE_SIZE") if free else 0
        return 0
