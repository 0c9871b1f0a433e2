"""What this machine has: memory, with a container's limit respected, and devices."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit is seen from inside: cgroup v2, then v1."""


def total_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this machine or container may use in all.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        try:
            text = (root / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():  # v2 says "max" where there is none
            total = min(total, int(text))
    return total


def available_devices(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the kinds of device that a model could run on here, without asking a driver."""
    found = ["cpu"]
    # The device file of the driver's control interface is there once the driver is loaded.
    if (root / "dev/nvidiactl").exists():
        found.append("cuda")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append("mps")
    return tuple(found)
