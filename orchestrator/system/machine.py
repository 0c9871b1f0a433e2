"""What this machine has: memory, with a container's limits respected, devices, and cores."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Protocol

from orchestrator.core.platforms import platform_name
from orchestrator.system.control_groups import memory_groups, number, reclaimable, text
from orchestrator.worker import capabilities

ROOT = Path("/")

APPLE = ("mps", "mlx")
"""Kinds of device that are Apple's GPU on a Mac; it works in the machine's own memory."""


def total_memory(root: Path = ROOT) -> int:
    """Return the bytes of memory that this machine or container may use in all.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    limits = [limit for group in memory_groups(root) if (limit := number(group.limit)) is not None]
    return min([physical_memory(root), *limits])


def free_memory(root: Path = ROOT) -> int | None:
    """Return the bytes that a new process could take without anything being swapped or killed.

    That is what the kernel calls available (proc_meminfo(5)), or less where this process is in a
    control group with a limit. None where the system does not say.
    """
    if _has_no_files(root):
        from orchestrator.system import darwin  # its imports cost every command

        return darwin.free_memory()
    found = [_meminfo(root, "MemAvailable")]
    for group in memory_groups(root):
        limit, usage = number(group.limit), number(group.usage)
        if limit is not None and usage is not None:
            found.append(limit - usage + reclaimable(group))
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def free_disk(path: Path) -> int:
    """Return the bytes that are free where `path` lies, or would lie."""
    import shutil  # its imports cost every command

    return shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free


def memory_kills(root: Path = ROOT) -> tuple[str, int]:
    """Return the file that counts kills for want of memory in our own group, and its count now."""
    for group in memory_groups(root):
        count = count_kills(str(group.kills))
        if count is not None:
            return str(group.kills), count
    return "", 0


def count_kills(path: str) -> int | None:
    """Return the count in a file that `memory_kills` named; None when it has none."""
    found = re.search(r"^oom_kill (\d+)$", text(Path(path)), re.MULTILINE) if path else None
    return int(found[1]) if found else None


def was_killed_for_memory(pid: int, log: Path = Path("/dev/kmsg")) -> bool:
    """Return whether the kernel's log, where we may read it, says so of the process `pid`."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    wanted = f"Killed process {pid} (".encode()
    try:
        while entry := os.read(descriptor, 8192):
            if wanted in entry:
                return True
    except OSError:
        # No more entries (EAGAIN), or those that came next were overwritten.
        return False
    finally:
        os.close(descriptor)
    return False


def resident_memory(pid: int, pool: str = "", root: Path = ROOT) -> int | None:
    """Return the bytes of memory that the process `pid` has now; None where that is not known.

    On macOS they include its buffers on the GPU, and what the system has compressed of it.

    Args:
        pid: The process.
        pool: The GPU whose memory is meant; nothing for the machine's own.
        root: Where the system's own files are, for tests on trees that look like one.
    """
    if pool:
        from orchestrator.system import gpus

        return gpus.used_memory(pool).get(pid)
    if _has_no_files(root):
        from orchestrator.system import darwin

        return darwin.footprint(pid)
    fields = text(root / "proc" / str(pid) / "statm").split()
    if len(fields) < 2:
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def this_platform() -> str:
    """Return what manifests call the platform of this Python, such as linux-x86_64."""
    return platform_name(sys.platform, os.uname().machine)


class Memory(Protocol):
    """Says how much memory is free."""

    def free(self, device: str, pool: str = "") -> int | None:
        """Return the bytes that are free for a device; None where that is not known.

        Args:
            device: Its kind.
            pool: The GPU whose memory it is; nothing for the machine's own.
        """


class MachineMemory:
    """The memory of this machine and its GPUs."""

    def free(self, device: str, pool: str = "") -> int | None:
        """Return the bytes that are free for a device; None where that is not known."""
        if pool:
            from orchestrator.system import gpus

            return gpus.free_memory(pool)
        free = free_memory()
        if device in APPLE and free is not None and not capabilities.PROCESS_FILES:
            from orchestrator.system import darwin

            free = min(free, darwin.working_set(total_memory()) or free)
        return free


def _has_no_files(root: Path) -> bool:
    """Return whether this system says by calls alone what processes and memory are like."""
    return root == ROOT and not capabilities.PROCESS_FILES


def physical_memory(root: Path) -> int:
    """Return the bytes of memory that the machine has, whatever a container's limit is."""
    known = _meminfo(root, "MemTotal")
    return known or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _meminfo(root: Path, name: str) -> int | None:
    found = re.search(rf"^{name}: *(\d+) kB$", text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
