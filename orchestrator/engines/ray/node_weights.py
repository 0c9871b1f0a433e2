"""A model's files on a node: already there, on a shared disk, in a mount, or pulled there once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator.errors import SourceError
from orchestrator.sources.model_files import SourceRecord, save_record
from orchestrator.system.waiting import Wait, take_lock

if TYPE_CHECKING:
    from orchestrator.catalog import Declared
    from orchestrator.workspace import Workspace


def ensure_weights(workspace: Workspace, declared: Declared, record: bytes, model_dir: str) -> None:
    """Ensure that the model's files are on this machine; one process at a time checks.

    Args:
        workspace: The node's.
        declared: The model.
        record: What is known of the files where the job comes from (JSON), or nothing.
        model_dir: A directory of this machine that holds them, or nothing.

    Raises:
        SourceError: When they cannot be had, or are not the files that the other machine has.
    """
    if declared.manifest.source is None:
        return
    theirs = msgspec.json.decode(record, type=SourceRecord) if record else None
    sources = workspace.sources
    lock = workspace.home.locks / f"weights-{declared.name}.lock"
    wait = Wait(declared.name, "another worker, which fetches its files", workspace.reporter)
    with take_lock(lock, wait):
        known = sources.record(declared.name, declared.precision)
        if model_dir:
            if known is None or known.path != str(Path(model_dir).resolve()) or _broken(known):
                sources.add(declared, Path(model_dir))
        elif known is None or _broken(known) or not _same(known, theirs):
            if theirs is not None and not _broken(theirs):
                # The same disk.
                save_record(workspace.home, declared.name, theirs, declared.precision)
            else:
                # What stands for a commit at another hub cannot be asked for there.
                hub, commit = (theirs.hub, theirs.commit) if theirs else ("", "")
                sources.pull(declared, hub=hub, commit="" if hub else commit)
        found = sources.ready(declared)
    if not _same(found, theirs) and not model_dir:
        raise SourceError(
            f"the files of {declared.name} are not those of the machine that runs mm",
            where=found.path,
            fix=f"run there and here: mm model verify {declared.name}",
        )


def _same(one: SourceRecord, other: SourceRecord | None) -> bool:
    return other is None or one.digest == other.digest


def _broken(record: SourceRecord) -> bool:
    """Return whether files of a record are missing on this machine, or changed."""
    return next(record.differing(), None) is not None
