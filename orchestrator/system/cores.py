"""How many threads of a model this machine runs at full speed."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from orchestrator.system.control_groups import number, processors, text

ROOT = Path("/")


def cores(root: Path = ROOT, allowed: frozenset[int] | None = None) -> int:
    """Return how many cores a job should use: never less than one.

    On Linux these are the ones that this process may run on, without those that would hold the
    others up, and no more than the quota of its control groups. On macOS they are the performance
    cores; elsewhere all.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
        allowed: The numbers of the cores that this process may run on; by default asked for.
    """
    if allowed is None and hasattr(os, "sched_getaffinity"):
        allowed = frozenset(os.sched_getaffinity(0))
    if allowed is None:
        from orchestrator.system import darwin  # its imports cost every command

        return darwin.performance_cores() or os.cpu_count() or 1
    worth = _worth_using(root / "sys/devices", allowed)
    return max(1, math.ceil(min(worth, processors(root))))


def _worth_using(devices: Path, allowed: frozenset[int]) -> int:
    """Return how many of the fastest cores do the most together.

    A loop that is shared out in equal parts ends with its slowest thread, so that a core only helps
    where it is not much slower than those that are taken already.
    """
    # Intel's efficiency cores, as the driver for their events names them.
    slow = _numbers(text(devices / "cpu_atom/cpus"))
    for listed in (devices / "system/cpu/types").glob("*atom*/cpulist"):
        slow |= _numbers(text(listed))
    chosen = (allowed - slow) or allowed
    # Speeds, that of the machine's fastest being 1024 (Documentation/scheduler/sched-capacity.rst);
    # there are none where all are alike.
    capacities = sorted(
        (number(devices / f"system/cpu/cpu{core}/cpu_capacity") or 1 for core in chosen),
        reverse=True,
    )
    together = [count * slowest for count, slowest in enumerate(capacities, 1)]
    return together.index(max(together)) + 1


def _numbers(listed: str) -> set[int]:
    """Return the numbers of a list such as `0-3,8`."""
    return {
        core
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", listed)
        for core in range(int(first), int(last or first) + 1)
    }
