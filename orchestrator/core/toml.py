"""TOML, read by the standard library, or by its back-port where Python has none (3.10)."""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.core.json_text import TOO_DEEP


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML document holds.

    Raises:
        ValueError: When it is not valid, with the line.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
