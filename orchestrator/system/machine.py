"""What this machine has: memory, with a container's limits respected, devices, and cores."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

ROOT = Path("/")


class ControlGroup(NamedTuple):
    """The figures of one control group, as files."""

    limit: Path
    usage: Path
    reclaimable: str
    """The line of `memory.stat` that counts what the kernel gives back when it must."""
    kills: Path


def total_memory(root: Path = ROOT) -> int:
    """Return the bytes of memory that this machine or container may use in all.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    limits = [limit for group in _groups(root) if (limit := _number(group.limit)) is not None]
    return min([physical_memory(root), *limits])


def free_memory(root: Path = ROOT) -> int | None:
    """Return the bytes that a new process could take without anything being swapped or killed.

    That is what the kernel calls available (proc_meminfo(5)), or less where this process is in a
    control group with a limit. None where the system does not say.
    """
    found = [_meminfo(root, "MemAvailable")]
    for group in _groups(root):
        limit, usage = _number(group.limit), _number(group.usage)
        if limit is not None and usage is not None:
            found.append(limit - usage + _stat(group))
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def free_disk(path: Path) -> int:
    """Return the bytes that are free where `path` lies, or would lie."""
    import shutil  # its imports cost every command

    return shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free


def memory_kills(root: Path = ROOT) -> tuple[str, int]:
    """Return the file that counts kills for want of memory in our own group, and its count now."""
    for group in _groups(root):
        count = count_kills(str(group.kills))
        if count is not None:
            return str(group.kills), count
    return "", 0


def count_kills(path: str) -> int | None:
    """Return the count in a file that `memory_kills` named; None when it has none."""
    found = re.search(r"^oom_kill (\d+)$", _text(Path(path)), re.MULTILINE) if path else None
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

    Args:
        pid: The process.
        pool: The GPU whose memory is meant; nothing for the machine's own.
        root: Where the system's own files are, for tests on trees that look like one.
    """
    if pool:
        from orchestrator.system import gpus

        return gpus.used_memory(pool).get(pid)
    fields = _text(root / "proc" / str(pid) / "statm").split()
    if len(fields) < 2:
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        del device
        if pool:
            from orchestrator.system import gpus

            return gpus.free_memory(pool)
        return free_memory()


def _groups(root: Path) -> Iterator[ControlGroup]:
    """Yield our control group and those above it, as far as they are visible (cgroups(7))."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _upwards(root / "sys/fs/cgroup", path, _version_2)
        elif "memory" in controllers.split(","):
            yield from _upwards(root / "sys/fs/cgroup/memory", path, _version_1)


def _upwards(
    mount: Path, path: str, files: Callable[[Path], ControlGroup]
) -> Iterator[ControlGroup]:
    # In a container without a namespace of its own, the path is that of the host, and the mount
    # shows our group as its root.
    parts = [part for part in path.split("/") if part not in ("", "..")]
    if not mount.joinpath(*parts).is_dir():
        parts = []
    for depth in range(len(parts), -1, -1):
        yield files(mount.joinpath(*parts[:depth]))


def _version_2(directory: Path) -> ControlGroup:
    return ControlGroup(
        directory / "memory.max",
        directory / "memory.current",
        "inactive_file",
        directory / "memory.events",
    )


def _version_1(directory: Path) -> ControlGroup:
    return ControlGroup(
        directory / "memory.limit_in_bytes",
        directory / "memory.usage_in_bytes",
        "total_inactive_file",
        directory / "memory.oom_control",
    )


def _stat(group: ControlGroup) -> int:
    text = _text(group.limit.parent / "memory.stat")
    found = re.search(rf"^{group.reclaimable} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def physical_memory(root: Path) -> int:
    """Return the bytes of memory that the machine has, whatever a container's limit is."""
    known = _meminfo(root, "MemTotal")
    return known or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _meminfo(root: Path, name: str) -> int | None:
    found = re.search(rf"^{name}: *(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None  # version 2 says "max" where there is no limit


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
