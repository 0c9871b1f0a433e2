"""Canonical bytes and digests of plain data.

The same value gives the same digest on every machine, Python version and run, so that digests can
name directories and be compared between machines.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SHORT_DIGEST_LENGTH = 12
"""How many hexadecimal digits of a digest name a directory."""


def canonical_bytes(value: Any) -> bytes:
    """Return `value` (None, bool, int, float, str, list, tuple, dict with str keys) as JSON bytes.

    Keys are sorted, there is no white space, and text is UTF-8, with half a surrogate pair as JSON
    escapes it. NaN and infinities are refused, because JSON has no spelling for them.

    Raises:
        ValueError: For a NaN or an infinity.
        TypeError: For a value that JSON cannot hold.
    """
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return text.encode("utf-8", "backslashreplace")


def digest(value: Any) -> str:
    """Return the SHA-256 of `canonical_bytes(value)` in hexadecimal."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def short(full_digest: str) -> str:
    """Return the part of a digest that names directories."""
    return full_digest[:SHORT_DIGEST_LENGTH]
