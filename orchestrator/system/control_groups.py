"""The control groups of this process (cgroups(7)): limits of memory and of processor time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class MemoryGroup(NamedTuple):
    """The figures of one control group, as files."""

    limit: Path
    usage: Path
    reclaimable: str
    """The line of `memory.stat` that counts what the kernel gives back when it must."""
    kills: Path


def memory_groups(root: Path) -> Iterator[MemoryGroup]:
    """Yield our control group and those above it, as far as they are visible.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    for directory, version in _directories(root, "memory"):
        if version == 1:
            yield MemoryGroup(
                directory / "memory.limit_in_bytes",
                directory / "memory.usage_in_bytes",
                "total_inactive_file",
                directory / "memory.oom_control",
            )
        else:
            yield MemoryGroup(
                directory / "memory.max",
                directory / "memory.current",
                "inactive_file",
                directory / "memory.events",
            )


def processors(root: Path) -> float:
    """Return how many processors' time our groups may use; infinity where they have no quota."""
    found = [math.inf]
    for directory, version in _directories(root, "cpu"):
        if version == 1:
            quota, period = number(directory / "cpu.cfs_quota_us"), directory / "cpu.cfs_period_us"
            shares = [quota, number(period)]
        else:
            words = text(directory / "cpu.max").split()
            shares = [int(word) if word.isdigit() else None for word in words]
        if len(shares) == 2 and shares[0] and shares[1]:
            found.append(shares[0] / shares[1])
    return min(found)


def reclaimable(group: MemoryGroup) -> int:
    """Return the bytes that a group would give back."""
    stat = text(group.limit.parent / "memory.stat")
    found = re.search(rf"^{group.reclaimable} (\d+)$", stat, re.MULTILINE)
    return int(found[1]) if found else 0


def number(path: Path) -> int | None:
    """Return the number in a file; None where there is none ("max" or -1: there is no limit)."""
    found = text(path).strip()
    return int(found) if found.isdigit() else None


def text(path: Path) -> str:
    """Return what a file of the system's holds; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _directories(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the directory of our group and those above it, each with the version of its files."""
    for line in text(root / "proc/self/cgroup").splitlines():
        identity, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if identity == "0" and not controllers:
            mount, version = root / "sys/fs/cgroup", 2
        elif controller in controllers.split(","):
            mount, version = root / "sys/fs/cgroup" / controller, 1
        else:
            continue
        # In a container without a namespace of its own, the path is that of the host, and the mount
        # shows our group as its root.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        if not mount.joinpath(*parts).is_dir():
            parts = []
        for depth in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:depth]), version
