"""Finished steps under `MM_HOME/results`: each under its key, its files by their hash.

    steps/ab/<key>.json       what a step returned, from what, and how long it took
    files/ab/<sha256>.<kind>  the files that results refer to; the same content is there once
    producers/<digest>.json   what made results: the receipts' part that many have in common

Everything is written beside its place and then put there, so that a reader finds all of it or
nothing, whenever a writer was killed. A record that is damaged or lacks a file counts as absent.
There is no fsync: after a power cut a step may have to run again. Everything is its owner's alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.pipelines.cache_key import VERSION, Recipe
from orchestrator.jobs.results import Artifact, Audio
from orchestrator.pipelines.step_values import Value, Values
from orchestrator.system.files import append, open_private
from orchestrator.system.hashing import sha256_of
from orchestrator.system.home import json_line, make_private, read_json

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
PARTIAL = "partial."


@dataclass(frozen=True)
class StoredResult:
    """A finished step, as it is kept.

    Attributes:
        key: What it is kept under.
        outputs: What the step returned, by name.
        identity: The digest of its producer.
        inputs: What its key says of the inputs.
        timings: Seconds by part, as they were when it ran.
        warnings: Why the outputs may not be what was asked for.
    """

    key: str
    outputs: Mapping[str, Values]
    identity: str
    inputs: Mapping[str, Any]
    timings: Mapping[str, float]
    warnings: tuple[str, ...] = ()


class ResultStore:
    """The results of one `MM_HOME`, or of one run that keeps none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._producers: set[str] = set()
        for directory in (root, *(root / name for name in ("steps", "files", "producers"))):
            make_private(directory)

    def find(self, key: str) -> StoredResult | None:
        """Return the finished step of that key when it is there with all of its files."""
        found = read_json(self._record(key))
        if not isinstance(found, dict) or found.get("version") != VERSION:
            return None
        try:
            outputs = {
                name: tuple(self._read(each) for each in value["list"])
                if "list" in value
                else self._read(value)
                for name, value in found["outputs"].items()
            }
            warnings = tuple(map(str, found.get("warnings", ())))
            return StoredResult(
                key, outputs, found["producer"], found["inputs"], found["timings"], warnings
            )
        except (KeyError, TypeError, ValueError, OSError):
            return None

    def put(
        self,
        recipe: Recipe,
        outputs: Mapping[str, Values],
        timings: Mapping[str, float],
        warnings: Sequence[str] = (),
    ) -> str:
        """Keep a finished step; its files are kept already. Return its key."""
        self._put_producer(recipe)
        key = recipe.key
        record = {
            "version": VERSION,
            "producer": recipe.identity,
            "inputs": dict(recipe.inputs),
            "outputs": {
                name: {"list": [_written(each) for each in value]}
                if isinstance(value, tuple)
                else _written(value)
                for name, value in outputs.items()
            },
            "timings": {name: round(seconds, 6) for name, seconds in timings.items()},
            "warnings": list(warnings),
            "finished": round(time.time(), 3),
        }
        self._write(self._record(key), json_line(record))
        return key

    def producer(self, identity: str) -> Mapping[str, Any] | None:
        """Return what the digest of a producer stands for, or None."""
        found = read_json(self.root / "producers" / f"{identity}.json")
        return found if isinstance(found, dict) else None

    def keep_bytes(self, kind: str, data: bytes, suffix: str, label: str = "") -> Value:
        """Keep `data` as a file."""
        digest = hashlib.sha256(data).hexdigest()
        target = self._file(digest, suffix)
        if not _has(target, len(data)):
            self._write(target, data)
        return Value(kind, file=target, label=label, hash=digest)

    def keep_file(self, kind: str, path: Path, label: str = "") -> Value:
        """Keep a file of ours: it is moved."""
        digest = sha256_of(path)
        target = self._file(digest, path.suffix)
        if not _has(target, path.stat().st_size):
            make_private(target.parent)
            path.chmod(0o600)
            try:
                path.replace(target)
            except OSError:  # on another file system
                temporary = target.parent / f"{PARTIAL}{secrets.token_hex(8)}"
                shutil.copy(path, temporary)
                temporary.replace(target)
        return Value(kind, file=target, label=label, hash=digest)

    def keep_output(self, kind: str, value: Any) -> Value:
        """Keep an output of a model, of the type `kind`."""
        if isinstance(value, Audio):
            return self.keep_bytes(kind, value.read(), ".wav")
        if isinstance(value, Artifact):
            return self.keep_file(kind, value.path)
        if kind == "array":
            from orchestrator.jobs.npy import npy_bytes

            return self.keep_bytes(kind, npy_bytes(value), ".npy")
        return Value(kind, value)

    def records(self) -> Iterator[Path]:
        """Yield the files of all finished steps."""
        yield from (self.root / "steps").glob("*/*.json")

    def _record(self, key: str) -> Path:
        return self.root / "steps" / key[:2] / f"{key}.json"

    def _file(self, digest: str, suffix: str) -> Path:
        plain = suffix.lower()
        ending = plain if _SUFFIX.fullmatch(plain) else ""
        return self.root / "files" / digest[:2] / f"{digest}{ending}"

    def _read(self, value: Mapping[str, Any]) -> Value:
        kind, label = str(value["type"]), str(value.get("label", ""))
        if "sha256" not in value:
            language = str(value.get("language", ""))
            return Value(kind, value["data"], label=label, language=language)
        digest = str(value["sha256"])
        outside = value.get("path")
        path = Path(outside) if outside else self._file(digest, str(value["suffix"]))
        if path.stat().st_size != value["size"]:
            raise ValueError("another size")
        if outside and path.stat().st_mtime_ns != value["changed"]:
            raise ValueError("another time")
        return Value(kind, file=path, label=label, hash=digest)

    def _put_producer(self, recipe: Recipe) -> None:
        if recipe.identity not in self._producers:
            path = self.root / "producers" / f"{recipe.identity}.json"
            self._write(path, json.dumps(dict(recipe.producer), sort_keys=True).encode("utf-8"))
            self._producers.add(recipe.identity)

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.parent / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            _create(temporary, data)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _create(path: Path, data: bytes) -> None:
    try:
        stream = open_private(path)
    except FileNotFoundError:
        make_private(path.parent)
        stream = open_private(path)
    with stream:
        append(stream, data)


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _written(value: Value) -> dict[str, Any]:
    """Return a value for a record; a file of the user's own is named by its path."""
    shown: dict[str, Any] = {"type": value.type}
    if value.label:
        shown["label"] = value.label
    if value.language:
        shown["language"] = value.language
    if value.file is None:
        return {**shown, "data": value.data}
    found = value.file.stat()
    shown |= {"sha256": value.sha256, "size": found.st_size, "suffix": value.file.suffix}
    if value.file.stem != value.sha256:
        shown |= {"path": str(value.file), "changed": found.st_mtime_ns}
    return shown
