"""Where the outputs of `mm run` go: standard output, files, or one JSON object."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from orchestrator.arrays import npy_bytes
from orchestrator.cli.terminal import write_result
from orchestrator.core.paths import given_path
from orchestrator.errors import UsageError
from orchestrator.home import write_atomically
from orchestrator.inputs import named_files, refuse_input
from orchestrator.results import Artifact, Audio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.cli.streaming import Stream
    from orchestrator.core.manifest import Manifest, Takes
    from orchestrator.results import Result

BINARY_TYPES = frozenset({"image", "file", "audio", "array"})
STANDARD_OUTPUT = "-"
AUDIO_SUFFIXES = ("", ".wav", ".wave")


class Destinations(msgspec.Struct, frozen=True):
    """Which output goes to which path; "-" is standard output."""

    paths: Mapping[str, str]

    @property
    def printed(self) -> str | None:
        """The output that goes to standard output, if one does."""
        return next((name for name, path in self.paths.items() if path == STANDARD_OUTPUT), None)


def plan(manifest: Manifest, words: Sequence[str], *, as_json: bool) -> Destinations:
    """Return where each output goes, after checking that it can go there.

    Args:
        manifest: The model's manifest.
        words: The values of `-o`: `OUT` or `NAME=OUT`.
        as_json: Whether standard output belongs to the JSON object.

    Raises:
        UsageError: Before the model runs, for whatever could not be written after it.
    """
    primary = manifest.primary_output
    paths: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or name not in manifest.outputs:
            name, path = primary, word
        if name in paths:
            raise UsageError(f"two places for the output {name!r}", fix="give -o once for each")
        given_path(path, f"-o {word}".rstrip())
        paths[name] = path
    if not as_json and STANDARD_OUTPUT not in paths.values() and primary not in paths:
        paths[primary] = STANDARD_OUTPUT
    if list(paths.values()).count(STANDARD_OUTPUT) > 1:
        raise UsageError("two outputs for standard output", fix="give one of them a path")
    for name, path in paths.items():
        _check(name, manifest.outputs[name].type, path, as_json=as_json)
    if as_json and primary not in paths and manifest.outputs[primary].type in BINARY_TYPES:
        raise UsageError(f"the output {primary!r} does not fit into JSON", fix="add -o PATH for it")
    return Destinations(paths)


def _check(name: str, kind: str, path: str, *, as_json: bool) -> None:
    if path == STANDARD_OUTPUT:
        if as_json:
            raise UsageError("--json has standard output for itself", fix="give -o a path")
        if kind in BINARY_TYPES and sys.stdout.isatty():
            raise UsageError(
                f"the output {name!r} is {kind} and is not written to a terminal",
                fix=f"add -o {'out.wav' if kind == 'audio' else 'PATH'}",
            )
        return
    if kind == "audio" and Path(path).suffix.lower() not in AUDIO_SUFFIXES:
        raise UsageError(
            "sound is written as WAV", where=path, fix=f"name it {Path(path).stem}.wav"
        )
    check_writable(path)


def check_writable(path: str) -> None:
    """Check that a file can be written at `path`.

    Raises:
        UsageError: When it cannot.
    """
    target = Path(path)
    parent = target.resolve().parent
    if target.is_dir():
        raise UsageError("is a directory, and a file is to be written", where=path)
    if not parent.is_dir():
        raise UsageError("its directory does not exist", where=path, fix=f"run: mkdir -p {parent}")
    special = target.exists() and not stat.S_ISREG(target.stat().st_mode)
    if not os.access(target if special else parent, os.W_OK):
        raise UsageError(
            "its directory cannot be written to", where=path, fix="choose another place with -o"
        )


def keep_inputs(
    places: Iterable[str | None], manifest: Takes, given: Mapping[str, Any], cwd: Path
) -> None:
    """Check that no file that is to be written is one of the inputs.

    Args:
        places: Where outputs, a receipt, a trace go; "-" and None are no files.
        manifest: What declares the inputs.
        given: The inputs as they stood on the command line.
        cwd: The working directory.

    Raises:
        UsageError: When one is.
    """
    for place in places:
        if place is not None and place != STANDARD_OUTPUT:
            refuse_input(cwd / place, named_files(manifest, given, cwd))


def deliver(result: Result, destinations: Destinations, stream: Stream | None = None) -> None:
    """Write the outputs where they go; of what was streamed, the rest."""
    for name, path in destinations.paths.items():
        if name not in result:
            click.echo(f"mm: {result.model} gave no {name!r} this time", err=True)
        elif path != STANDARD_OUTPUT:
            write_file(path, as_bytes(result[name]))
    printed = destinations.printed
    if printed is None or printed not in result:
        return
    value = result[printed]
    if stream is not None and stream.began:
        stream.end(value)
    elif isinstance(value, str):
        write_result(f"{value}\n")
    else:
        write_result(as_bytes(value))


def as_bytes(value: Any) -> bytes:
    """Return an output as the bytes of a file."""
    if isinstance(value, (Audio, Artifact)):
        return value.read()
    if isinstance(value, str):
        return (value if value.endswith("\n") else value + "\n").encode("utf-8")
    if isinstance(value, memoryview) or hasattr(value, "dtype"):
        return npy_bytes(value)
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def write_file(path: str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; a pipe or device is written straight.

    Raises:
        UsageError: When it cannot be written.
    """
    target = Path(path)
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_bytes(data)
            return
        # A link stays a link: what it points to is replaced.
        write_atomically(target.resolve(), data, mode=None)
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=path, fix="choose another place with -o"
        ) from error


def json_outputs(result: Result, destinations: Destinations) -> dict[str, Any]:
    """Return the outputs for `--json`: values, and the paths of what was written to files."""
    shown: dict[str, Any] = {}
    for name, value in result.items():
        path = destinations.paths.get(name)
        if isinstance(value, (Audio, Artifact)):
            if path is not None:
                shown[name] = {"path": path, "media_type": value.media_type}
        elif isinstance(value, memoryview) or hasattr(value, "dtype"):
            if path is not None:
                shown[name] = {"path": path, "media_type": "application/x-npy"}
        else:
            shown[name] = value
    return shown
