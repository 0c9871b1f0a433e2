"""Where the outputs of a pipeline go: standard output, files, directories of files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.outputs import (
    AUDIO_SUFFIXES,
    BINARY_TYPES,
    STANDARD_OUTPUT,
    as_bytes,
    check_writable,
    write_file,
)
from orchestrator.core.paths import given_path
from orchestrator.errors import UsageError
from orchestrator.pipelines.outcome import Items
from orchestrator.results import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.core.pipelines import Graph, Kind
    from orchestrator.pipelines.outcome import Outcome
    from orchestrator.pipelines.step_values import Value


def plan(graph: Graph, words: Sequence[str], *, as_json: bool) -> dict[str, str]:
    """Return the place of each output that goes anywhere, after checking that it can go there.

    Args:
        graph: The pipeline.
        words: The values of `-o`: `OUT` or `NAME=OUT`.
        as_json: Whether standard output belongs to the JSON object.

    Raises:
        UsageError: Before anything runs, for whatever could not be written after it.
    """
    places: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or name not in graph.outputs:
            name, path = graph.primary, word
        if name in places:
            raise UsageError(f"two places for the output {name!r}", fix="give -o once for each")
        given_path(path, f"-o {word}".rstrip())
        places[name] = path
    if not as_json and not places:
        places[graph.primary] = STANDARD_OUTPUT
    if list(places.values()).count(STANDARD_OUTPUT) > 1:
        raise UsageError("two outputs for standard output", fix="give one of them a path")
    for name, path in places.items():
        _check(name, graph.outputs[name][1], path, as_json=as_json)
    return places


def _check(name: str, kind: Kind, path: str, *, as_json: bool) -> None:
    binary = kind.type in BINARY_TYPES
    if path == STANDARD_OUTPUT:
        if as_json:
            raise UsageError("--json has standard output for itself", fix="give -o a path")
        if binary and (kind.many or sys.stdout.isatty()):
            place = "DIR" if kind.many else "out.wav" if kind.type == "audio" else "PATH"
            raise UsageError(
                f"the output {name!r} is {kind} and is not written to "
                f"{'standard output' if kind.many else 'a terminal'}",
                fix=f"add -o {name}={place}",
            )
    elif kind.many:
        target = Path(path)
        if target.exists() and not target.is_dir():
            raise UsageError("is a file, and a list goes to a directory", where=path)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot be made ({error.strerror})", where=path) from error
    else:
        if kind.type == "audio" and Path(path).suffix.lower() not in AUDIO_SUFFIXES:
            fix = f"name it {Path(path).stem}.wav"
            raise UsageError("sound is written as WAV", where=path, fix=fix)
        check_writable(path)


def deliver(outcome: Outcome, graph: Graph, places: Mapping[str, str]) -> dict[str, Any]:
    """Write the outputs where they go; return what `--json` says of them."""
    shown: dict[str, Any] = {}
    for name, (_, kind) in graph.outputs.items():
        value = outcome.value(name)
        place = places.get(name)
        if value is None:
            continue  # what failed has been told
        if isinstance(value, Items):
            shown[name] = _deliver_list(value, kind, place)
        elif place == STANDARD_OUTPUT:
            _print(value)
        else:
            if place is not None:
                write_file(place, _bytes(value))
            shown[name] = _described(value, place)
    return {name: each for name, each in shown.items() if each is not None}


def _deliver_list(items: Items, kind: Kind, place: str | None) -> list[Any] | None:
    """Write the items of a list: numbered files in a directory, or a JSON value on each line."""
    if place is None:
        if kind.type in BINARY_TYPES:
            return None
        return [None if value is None else value.data for value in items.values()]
    if place == STANDARD_OUTPUT:
        for value in items.values():
            click.echo(json.dumps(None if value is None else value.data, ensure_ascii=False))
        return None
    digits = max(4, len(str(len(items))))

    def numbered() -> Iterator[tuple[Path, Value]]:
        for number, value in enumerate(items.values(), start=1):
            if value is not None:
                yield Path(place, f"{number:0{digits}}{_suffix(value)}"), value

    for path, value in numbered():
        _refuse_other(path, value)
    shown: list[Any] = [None] * len(items)
    for path, value in numbered():
        write_file(str(path), _bytes(value))
        shown[int(path.stem) - 1] = _described(value, str(path))
    return shown


def _refuse_other(path: Path, value: Value) -> None:
    """Refuse to write over a file whose name is ours to choose, unless it holds the same."""
    try:
        same = path.read_bytes() == _bytes(value)
    except FileNotFoundError:
        return
    except OSError:
        same = False
    if not same:
        raise UsageError(
            "is there already, and is something else",
            where=str(path),
            fix="choose another directory with -o",
        )


def _print(value: Value) -> None:
    if isinstance(value.data, str):
        click.echo(value.data)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(_bytes(value))


def _bytes(value: Value) -> bytes:
    return value.file.read_bytes() if value.file is not None else as_bytes(value.data)


def _suffix(value: Value) -> str:
    if value.file is not None:
        return value.file.suffix
    return ".txt" if isinstance(value.data, str) else ".json"


def _described(value: Value, place: str | None) -> Any:
    if value.file is None:
        return value.data
    if place is None:
        return None
    kind = MEDIA_TYPES.get(value.file.suffix.lower(), "application/octet-stream")
    return {"path": place, "media_type": kind}
