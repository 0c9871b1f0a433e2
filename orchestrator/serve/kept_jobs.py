"""Jobs that outlive the server: what was asked for, on disk, with its outputs until they expire.

A job's directory has its uploads, `job.json`, once it has begun `begun`, and once it is done
`outcome.json` with the files of its outputs beside it. What is written here is read by this module
alone.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from orchestrator.jobs.output_files import is_binary, suffix_of, write_output
from orchestrator.jobs.results import Artifact, Result
from orchestrator.serve.refused import Refused
from orchestrator.serve.uploads import remove_uploads
from orchestrator.system.home import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.serve.served_job import ServedJob

VERSION = 1

PRIVATE = 0o600

JOB, BEGUN, OUTCOME, OUTPUTS = "job.json", "begun", "outcome.json", "outputs"

RESTARTED = "the server was restarted while the job ran"


def save(job: ServedJob) -> None:
    """Write down what a job is, and how far.

    Raises:
        OSError: When it cannot be written.
    """
    error = job.error
    record = {
        "version": VERSION,
        "id": job.id,
        "model": job.model.name,
        "inputs": _inputs(job.inputs, job.directory),
        "created": job.created,
        "state": job.state,
        "ended": time.time() if job.ended_at else None,
        "error": error and [error.status, error.message, error.code],
    }
    write_json(job.directory / JOB, record, mode=PRIVATE)


def mark_begun(directory: Path) -> None:
    """Note that a job has begun: the next server does not run it."""
    with suppress(OSError):  # a full disk, or the job has ended and is forgotten
        (directory / BEGUN).touch(PRIVATE)


def save_end(job: ServedJob) -> None:
    """Write down how a job ended, and remove what it was given.

    Raises:
        OSError: When it cannot be written.
    """
    save(job)
    remove_uploads(job.directory)


def save_outcome(job: ServedJob, result: Result) -> Result:
    """Move the outputs of a job into its directory, and return them as they are there."""
    with result:
        return _save_outcome(job, result)


def _save_outcome(job: ServedJob, result: Result) -> Result:
    directory = job.directory / OUTPUTS
    directory.mkdir(mode=0o700, exist_ok=True)
    outputs: dict[str, Any] = {}
    for name, value in result.items():
        if is_binary(value):
            path = directory / f"{name}{suffix_of(value)}"
            write_output(path, value, mode=PRIVATE)
            outputs[name] = {"file": path.name}
        else:
            outputs[name] = {"value": value}
    outcome = {
        "outputs": outputs,
        "model": result.model,
        "primary": result.primary,
        "receipt": result.receipt,
        "timings": result.timings,
        "warnings": list(result.warnings),
    }
    write_json(job.directory / OUTCOME, outcome, mode=PRIVATE)
    return _result(outcome, directory)


class KeptJob(msgspec.Struct):
    """What is written down of a job; `kept` names what is in its directory."""

    version: Literal[1]
    id: str
    model: str
    created: float
    state: str
    inputs: dict[str, Any] | None = None
    ended: float | None = None
    error: tuple[int, str, str] | None = None


def records(root: Path) -> Iterator[tuple[Path, KeptJob]]:
    """Yield the directory and the record of each job; what is none is removed."""
    for directory in [each for each in sorted(root.iterdir()) if each.is_dir()]:
        if (record := _record(directory)) is not None:
            yield directory, record
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _record(directory: Path) -> KeptJob | None:
    try:
        return msgspec.convert(read_json(directory / JOB), KeptJob)
    except msgspec.ValidationError:
        return None


def restored_inputs(record: KeptJob, directory: Path) -> dict[str, Any] | None:
    """Return the inputs of a job that had not begun; None where they could not be written down."""
    found = record.inputs
    if found is None or record.state != "queued" or (directory / BEGUN).exists():
        return None

    def value(one: Any) -> Any:
        if isinstance(one, dict) and set(one) == {"file"}:
            return directory / Path(str(one["file"])).name
        return one["value"]

    return {
        name: [value(each) for each in one] if isinstance(one, list) else value(one)
        for name, one in found.items()
    }


def restored_result(directory: Path) -> Result | None:
    """Return the outputs of a job that was done; None where they are gone."""
    outcome = read_json(directory / OUTCOME)
    return _result(outcome, directory / OUTPUTS) if isinstance(outcome, dict) else None


def restored_error(record: KeptJob) -> Refused:
    """Return how a job ended that has no outputs."""
    return Refused(*record.error) if record.error else Refused(499, RESTARTED, "cancelled")


def _inputs(inputs: Mapping[str, Any], directory: Path) -> dict[str, Any] | None:
    """Return inputs as JSON: files of the job by name; None where one is an array."""

    def written(value: Any) -> dict[str, Any]:
        if isinstance(value, Path) and value.parent == directory:
            return {"file": value.name}
        json.dumps(value)
        return {"value": value}

    try:
        return {
            name: [written(each) for each in one] if isinstance(one, list) else written(one)
            for name, one in inputs.items()
        }
    except TypeError:
        return None


def _result(outcome: Mapping[str, Any], directory: Path) -> Result:
    outputs = {
        name: Artifact(directory / one["file"]) if "file" in one else one["value"]
        for name, one in outcome["outputs"].items()
    }
    return Result(
        outputs,
        outcome["model"],
        outcome["primary"],
        lambda: dict(outcome["receipt"]),
        dict(outcome["timings"]),
        tuple(outcome["warnings"]),
    )
