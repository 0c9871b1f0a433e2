"""Where the outputs of a pipeline go: standard output, files, directories of files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli import outputs
from orchestrator.cli.outputs import STANDARD_OUTPUT
from orchestrator.cli.terminal import write_result
from orchestrator.errors import UsageError
from orchestrator.jobs.output_files import (
    BINARY_TYPES,
    is_sound,
    pieces,
    suffix_of,
    write_stream,
)
from orchestrator.jobs.results import Artifact
from orchestrator.pipelines.outcome import Items, Outcome
from orchestrator.system.home import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.core.pipelines import Graph, Kind
    from orchestrator.pipelines.step_values import Value


def plan(graph: Graph, words: Sequence[str], *, as_json: bool) -> dict[str, str]:
    """Return the place of each output that goes anywhere, after checking that it can go there.

    Args:
        graph: The pipeline.
        words: The values of `-o`: `OUT` or `NAME=OUT`.
        as_json: Whether standard output belongs to the JSON object.

    Raises:
        UsageError: Before anything runs, when an output could not be written afterwards.
    """
    places = outputs.parse_places(words, graph.outputs, graph.primary)
    if not as_json and not places:
        places[graph.primary] = STANDARD_OUTPUT
    for name, path in places.items():
        kind = graph.outputs[name][1]
        outputs.check_place(name, kind.type, path, as_json=as_json, many=kind.many)
    return places


def deliver(
    outcome: Outcome, graph: Graph, places: Mapping[str, str], sound: str = ""
) -> dict[str, Any]:
    """Write the outputs where they go; return what `--json` says of them.

    Args:
        outcome: What the pipeline gave.
        graph: The pipeline.
        places: The places of its outputs.
        sound: The suffix of files of sound in a directory; empty for that of each as it is.
    """
    shown: dict[str, Any] = {}
    for name, (_, kind) in graph.outputs.items():
        value = outcome.value(name)
        place = places.get(name)
        if value is None:
            continue  # its failure is in the summary
        if place == STANDARD_OUTPUT:
            if isinstance(value, Items):
                _print_list(value)
            else:
                outputs.print_output(_plain(value))
        elif isinstance(value, Items):
            shown[name] = _deliver_list(value, kind, place, sound)
        else:
            if place is not None:
                outputs.write_file(place, _plain(value))
            shown[name] = outputs.described(_plain(value), place)
    return shown


def _print_list(items: Items) -> None:
    """Write a JSON value on each line."""
    for value in items.values():
        write_result(json_line(None if value is None else value.data) + b"\n")


def _deliver_list(items: Items, kind: Kind, place: str | None, sound: str) -> list[Any]:
    """Write the items of a list: numbered files in a directory, or one JSON file."""
    if place is None or (outputs.is_json(place) and kind.type not in BINARY_TYPES):
        data = [
            None if each is None else outputs.described(_plain(each), None)
            for each in items.values()
        ]
        if place is not None:
            outputs.write_file(place, data)
        return data
    digits = max(4, len(str(len(items))))
    named = outputs.is_template(place)

    def numbered() -> Iterator[tuple[int, Path, Any]]:
        for number, value in enumerate(items.values(), start=1):
            if value is not None and named:
                yield number, Path(outputs.item_place(place, number, value.label)), _plain(value)
            elif value is not None:
                plain = _plain(value)
                suffix = sound if sound and is_sound(plain) else suffix_of(plain)
                yield number, Path(place, f"{number:0{digits}}{suffix}"), plain

    if named:
        _refuse_shared(path for _, path, _ in numbered())
    else:
        for _, path, value in numbered():
            _refuse_other(path, value)
    shown: list[Any] = [None] * len(items)
    for number, path, value in numbered():
        outputs.write_file(str(path), value)
        shown[number - 1] = outputs.described(value, str(path))
    return shown


def _refuse_shared(paths: Iterable[Path]) -> None:
    """Refuse two files of one name, which on macOS is the same in capitals."""
    taken: set[str] = set()
    for path in paths:
        if str(path).casefold() in taken:
            fix = "write {number:02} into the name with -o"
            raise UsageError("two files of the list have this name", where=str(path), fix=fix)
        taken.add(str(path).casefold())


def _refuse_other(path: Path, value: Any) -> None:
    """Refuse to overwrite a file whose name the user did not give, unless it holds the same."""
    try:
        with path.open("rb") as stream:
            if path.suffix != suffix_of(value):  # it is to be encoded, the same each time
                encoded = BytesIO()
                write_stream(encoded, value, path.suffix)
                value = encoded.getvalue()
            same = all(stream.read(len(piece)) == piece for piece in pieces(value))
            same = same and not stream.read(1)
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


def _plain(value: Value) -> Any:
    """Return a value of a pipeline in the form in which a job returns it, its file unread."""
    return value.data if value.file is None else Artifact(value.file)
