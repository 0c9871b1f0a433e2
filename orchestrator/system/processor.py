"""Which data types the processor of this machine computes in hardware."""

from __future__ import annotations

import re
from pathlib import Path

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Flags of Linux's /proc/cpuinfo, on x86 and on Arm, that mean arithmetic in bfloat16."""


def native_dtypes(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the data types below float32 that the processor is fast in; empty where unknown.

    Args:
        root: Where the system's own files are, for tests on trees that look like one.
    """
    return ("bfloat16",) if features(root) & BFLOAT16 else ()


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
