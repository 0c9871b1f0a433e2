"""Removal of kept results and of the records of runs; never while a pipeline runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import EnvironmentFailure
from orchestrator.system.flock import try_lock
from orchestrator.system.home import Home, read_json
from orchestrator.system.removal import file_size, modified, remove

LOCK = "results.lock"
"""Held shared while a pipeline runs, and exclusively while results are removed."""


@dataclass(frozen=True)
class Cleanup:
    """What was, or would be, removed: finished steps, files, and bytes."""

    steps: int
    files: int
    size: int


def clean(home: Home, older_than: float = 0.0, *, dry_run: bool = False) -> Cleanup:
    """Remove results that were last made `older_than` seconds ago or earlier, and old records.

    Files go when no remaining result refers to them.

    Args:
        home: Whose results.
        older_than: Seconds.
        dry_run: Whether only to count.

    Raises:
        EnvironmentFailure: When a pipeline runs, or something cannot be removed; all else is.
    """
    held = try_lock(home.locks / LOCK)
    if held is None:
        raise EnvironmentFailure(
            "a pipeline runs, and its results cannot be removed", fix="wait until it has ended"
        )
    with held:
        until = time.time() - older_than
        steps, wanted = _sort(home.results, until)
        files = [path for path in _below(home.results / "files") if path.name not in wanted]
        files += list((home.results / "steps").glob("*/partial.*"))
        if not older_than:
            files += list((home.results / "producers").glob("*"))
        runs = [path for path in home.runs.glob("*") if path.is_dir() and modified(path) <= until]
        size = sum(
            map(file_size, [*steps, *files, *(path for run in runs for path in _below(run))])
        )
        if not dry_run:
            _remove_all([*steps, *files, *runs])
        return Cleanup(len(steps), len(files), size)


def _remove_all(paths: Iterable[Path]) -> None:
    failed = [(path, error) for path in paths if (error := _try_remove(path))]
    if failed:
        path, error = failed[0]
        raise EnvironmentFailure(
            f"could not be removed ({error.strerror})",
            where=str(path),
            fix="check whose it is, then run: mm pipeline clean",
        ) from error


def _try_remove(path: Path) -> OSError | None:
    try:
        remove(path)
    except OSError as error:
        return error
    return None


def _sort(results: Path, until: float) -> tuple[list[Path], set[str]]:
    """Return the records to remove, and the names of the files that the others refer to."""
    leaving: list[Path] = []
    wanted: set[str] = set()
    for path in (results / "steps").glob("*/*.json"):
        if modified(path) <= until:
            leaving.append(path)
        else:
            wanted |= _files_in(read_json(path))
    return leaving, wanted


def _files_in(record: object) -> set[str]:
    outputs = record.get("outputs") if isinstance(record, dict) else None
    names: set[str] = set()
    for value in outputs.values() if isinstance(outputs, dict) else ():
        for one in value.get("list", [value]) if isinstance(value, dict) else ():
            if isinstance(one, dict) and "sha256" in one:
                names.add(f"{one['sha256']}{one.get('suffix', '')}")
    return names


def _below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
