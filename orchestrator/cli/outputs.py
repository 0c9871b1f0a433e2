"""Where outputs go, for `mm run` and `mm pipeline run`: standard output, files, JSON."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.terminal import write_result
from orchestrator.core.paths import given_path
from orchestrator.core.refusals import remedy
from orchestrator.core.subtitle_format import SEGMENTS, SUBTITLES
from orchestrator.errors import UsageError
from orchestrator.jobs.input_files import named_files, refuse_input
from orchestrator.jobs.output_files import (
    BINARY_TYPES,
    is_binary,
    is_sound,
    media_type,
    pieces,
    suffix_of,
    write_output,
    write_stream,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from orchestrator.core.manifest import Takes

STANDARD_OUTPUT = "-"
WAV_SUFFIXES = ("", ".wav", ".wave")


def parse_places(words: Sequence[str], names: Container[str], primary: str) -> dict[str, str]:
    """Return the place of each output that `-o` names: a path, or "-" for standard output.

    Args:
        words: The values of `-o`: `OUT` or `NAME=OUT`.
        names: The names of the outputs.
        primary: The output that `OUT` alone means; for a file of subtitles it is the segments.

    Raises:
        UsageError: When an output has two places, or a place has two outputs or is empty.
    """
    places: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or name not in names:
            name, path = SEGMENTS if is_subtitles(word) and SEGMENTS in names else primary, word
        if name in places:
            raise UsageError(f"two places for the output {name!r}", fix="give -o once for each")
        given_path(path, f"-o {word}".rstrip())
        for other, taken in places.items():
            if STANDARD_OUTPUT not in (path, taken) and _same_place(path, taken):
                what = f"the outputs {other!r} and {name!r} go to one place"
                raise UsageError(what, where=path, fix="give each a place of its own")
        places[name] = path
    if list(places.values()).count(STANDARD_OUTPUT) > 1:
        raise UsageError("two outputs for standard output", fix="give one of them a path")
    return places


def _same_place(one: str, other: str) -> bool:
    """Return whether two paths are one file or directory; a device takes any number of outputs."""
    path = Path(one).resolve()
    device = path.exists() and not (path.is_file() or path.is_dir())
    return path == Path(other).resolve() and not device


def printed_output(places: Mapping[str, str]) -> str:
    """Return the output that goes to standard output, or an empty text."""
    return next((name for name, path in places.items() if path == STANDARD_OUTPUT), "")


def check_place(name: str, kind: str, path: str, *, as_json: bool, many: bool = False) -> None:
    """Check that an output can go to its place, and make the directory of a list.

    A list of what JSON can hold goes into one file where that is named `.json`.

    Args:
        name: The output.
        kind: Its type.
        path: Its place.
        as_json: Whether standard output belongs to the JSON object.
        many: Whether it is a list.

    Raises:
        UsageError: Before anything runs, when the output could not be written afterwards.
    """
    _check_subtitles(name, kind, path, many=many)
    if path == STANDARD_OUTPUT:
        if as_json:
            raise UsageError("--json has standard output for itself", fix="give -o a path")
        if kind in BINARY_TYPES and (many or sys.stdout.isatty()):
            what = f"{kind} and is not written to a terminal"
            if many:
                what = f"a list of {kind} and is not written to standard output"
            place = "DIR" if many else "out.wav" if kind == "audio" else "PATH"
            raise UsageError(f"the output {name!r} is {what}", fix=f"add -o {name}={place}")
    elif many and not is_json(path):
        target = Path(item_place(path, 1, "title")).parent if is_template(path) else Path(path)
        if target.exists() and not target.is_dir():
            raise UsageError("is a file, and a list goes to a directory", where=path)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fix = "choose another place with -o"
            raise UsageError(f"cannot be made ({error.strerror})", where=path, fix=fix) from error
        _check_access(target, path)
    else:
        if many and kind in BINARY_TYPES:
            what = f"a list of {kind} does not fit into JSON"
            raise UsageError(what, where=path, fix="name a directory")
        if kind == "audio":
            check_sound(path)
        check_writable(path)


_FIELD = re.compile(r"\{(?:title|number(?::0?[1-9]d?)?)\}")


def is_template(path: str) -> bool:
    """Return whether a place says how the files of a list are called: `out/{number:02} {title}`."""
    return "{number" in path or "{title" in path


def item_place(template: str, number: int, title: str) -> str:
    """Return the path of an item of a list; what cannot stand in a name is `_` in it.

    Raises:
        UsageError: When the template holds anything but `{number}` and `{title}`, or has them
            in its directory.
    """
    plain = "".join(
        "_" if each in '/\\:*?"<>|' or not each.isprintable() else each for each in title
    )
    values = {"number": number, "title": plain.strip(". ")[:100]}
    place = Path(template)
    if is_template(str(place.parent)) or re.search(r"[{}]", _FIELD.sub("", place.name)):
        fix = "write {number:02} and {title} alone, behind the last /"
        raise UsageError("is no name for the files of a list", where=template, fix=fix)
    return _FIELD.sub(lambda field: field[0].format(**values), template)


def check_sound(path: str) -> None:
    """Check that sound can be written in the format that a path names.

    Raises:
        UsageError: When it cannot.
    """
    suffix = Path(path).suffix.lower()
    if suffix in WAV_SUFFIXES:
        return
    from orchestrator.jobs.sound_encoder import FORMATS, check_encoder

    if suffix not in FORMATS:
        what = f"sound is written as .wav, {', '.join(FORMATS)}"
        raise UsageError(what, where=path, fix=f"name it {Path(path).stem}.wav")
    check_encoder(path)


def _check_subtitles(name: str, kind: str, path: str, *, many: bool) -> None:
    if is_subtitles(path) and many:
        what = f"the output {name!r} is a list, and a list goes to a directory"
        raise UsageError(what, where=path, fix="name a directory")
    if is_subtitles(path) and kind == "json" and name != SEGMENTS:
        what = f"subtitles are made of an output {SEGMENTS!r}, and this is {name!r}"
        raise UsageError(what, where=path, fix="choose another suffix")


def is_json(place: str) -> bool:
    """Return whether a place asks for JSON, so that a list goes into that one file."""
    return Path(place).suffix.lower() == ".json"


def is_subtitles(place: str) -> bool:
    """Return whether a place asks for subtitles."""
    return Path(place).suffix.lower() in SUBTITLES


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
        make = f"run: mkdir -p {shlex.quote(str(parent))}"
        raise UsageError("its directory does not exist", where=path, fix=make)
    special = target.exists() and not stat.S_ISREG(target.stat().st_mode)
    _check_access(target if special else parent, path)


def _check_access(target: Path, path: str) -> None:
    if not os.access(target, os.W_OK):
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
        given: The inputs as they are on the command line.
        cwd: The working directory.

    Raises:
        UsageError: When one is.
    """
    for place in places:
        if place is not None and place != STANDARD_OUTPUT:
            refuse_input(cwd / place, named_files(manifest, given, cwd))


def described(value: Any, place: str | None) -> Any:
    """Return an output as `--json` shows it: the value, or where its file is; null for nowhere."""
    if not is_binary(value):
        return value
    kind = getattr(value, "media_type", "application/x-npy")
    if place and is_sound(value):
        kind = media_type(Path(place).suffix or suffix_of(value))
    return {"path": place, "media_type": kind}


def print_output(value: Any) -> None:
    """Write an output to standard output, as a file has it."""
    for piece in pieces(value):
        write_result(piece)


def write_file(path: str, value: Any, *, ours: bool = False) -> None:
    """Write an output to `path`, whole or not at all; a pipe or device is written straight.

    Args:
        path: The file.
        value: The output.
        ours: As for `copy_file`, where the output is a file.

    Raises:
        UsageError: When it cannot be written.
    """
    target = Path(path)
    with writing(path):
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as stream:
                write_stream(stream, value, target.suffix)
            return
        # A link stays a link: what it points to is replaced.
        write_output(target.resolve(), value, ours=ours)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Raise what the system refuses when a place of `-o` is written, as a sentence.

    Raises:
        UsageError: When it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})",
            where=path,
            fix=remedy(error, "choose another place with -o"),
        ) from error
