"""The record of what produced a result.

The part named `produced_by` says everything that could change the output for the same inputs; its
digest is the receipt's identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.core.canonical import digest, digest_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog import Declared
    from orchestrator.client.launch import WorkerSpec
    from orchestrator.environments import Environment
    from orchestrator.sources.overlays import Overlay

VERSION = 1
"""The version of the receipt's form."""


def produced_by(
    declared: Declared,
    environment: Environment,
    worker: WorkerSpec,
    overlay: Overlay | None = None,
) -> dict[str, Any]:
    """Return the part of a receipt that does not depend on the inputs."""
    return {
        "model": declared.manifest.name,
        "manifest": declared.digest,
        "runner": digest_bytes(worker.source.encode("utf-8")),
        "environment": environment.digest,
        "lock": environment.lock_digest,
        "own_lock": environment.mine,
        "commit": (overlay.commit or None) if overlay else None,
        "source": overlay.source if overlay else None,
        "patches": dict(overlay.sets) if overlay else None,
        "device": worker.device,
        "dtype": worker.dtype,
        "options": dict(worker.options),
        "versions": {
            "mm": __version__,
            "python": environment.python_version,
            **dict(sorted(environment.versions.items())),
        },
    }


def receipt(
    producer: Mapping[str, Any], inputs: Mapping[str, Any], timings: Mapping[str, float]
) -> dict[str, Any]:
    """Return a whole receipt: plain data, ready for JSON.

    Args:
        producer: What `produced_by` returned.
        inputs: Values, and digests of files, by input.
        timings: Seconds by part of the job.
    """
    return {
        "version": VERSION,
        "identity": digest(producer),
        "produced_by": dict(producer),
        "inputs": dict(inputs),
        "timings": {name: round(seconds, 6) for name, seconds in timings.items()},
    }
