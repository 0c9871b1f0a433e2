"""Who uses an environment, in words, from the records of live workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.client.runtime import WorkerRecord


def users_of(digest: str, records: Iterable[WorkerRecord]) -> str:
    """Return who uses the environment `digest`: its workers, or that somebody holds it."""
    workers = [
        f"the worker of {record.model} (supervisor {record.supervisor})"
        for record in records
        if record.environment == digest or record.environment.startswith(digest)
    ]
    return " and ".join(workers) or "a process that has no worker's record"
