"""Which data types the processor of this machine computes in hardware."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Flags of Linux's /proc/cpuinfo, on x86 and on Arm, that mean arithmetic in bfloat16."""


APPLE = {"hw.optional.arm.FEAT_BF16": "bfloat16", "hw.optional.arm.FEAT_FP16": "float16"}
"""The names of macOS's sysctl that say so of Apple's processors."""


def sysctl(name: str) -> int | None:
    """Return what macOS says of itself under a name; None elsewhere."""
    from orchestrator.system.sysctl import integer  # its imports cost every command

    return integer(name)


def native_dtypes(
    root: Path = Path("/"), ask: Callable[[str], int | None] = sysctl
) -> tuple[str, ...]:
    """Return the data types below float32 that the processor is fast in; empty where unknown.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
        ask: Returns a value of sysctl, for tests.
    """
    if known := features(root):
        return ("bfloat16",) if known & BFLOAT16 else ()
    return tuple(dtype for name, dtype in APPLE.items() if ask(name))


def features(root: Path = Path("/")) -> frozenset[str]:
    """Return what the processor says that it can do; empty where the system does not say.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) if line else frozenset()
