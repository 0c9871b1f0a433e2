"""The record of what produced a result.

The part named `produced_by` says everything that could change the output for the same inputs; its
digest is the receipt's identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.core.canonical import digest

VERSION = 2
"""The version of the receipt's form. Version 1 named a commit where 2 has the files' hashes."""


def receipt(
    producer: Mapping[str, Any],
    inputs: Mapping[str, Any],
    timings: Mapping[str, float],
    warnings: Iterable[str] = (),
) -> dict[str, Any]:
    """Return a whole receipt: plain data, ready for JSON.

    Args:
        producer: What `produced_by` returned.
        inputs: Values, and digests of files, by input.
        timings: Seconds by part of the job.
        warnings: Why the result may not be what was asked for.
    """
    return {
        "version": VERSION,
        "identity": digest(producer),
        "produced_by": dict(producer),
        "inputs": dict(inputs),
        "timings": {name: round(seconds, 6) for name, seconds in timings.items()},
        "warnings": list(warnings),
    }
