"""The inputs of a manifest as options of `mm run`; `-` reads standard input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from orchestrator.cli.path_type import GivenPath
from orchestrator.cli.terminal import write_if_possible
from orchestrator.core.json_text import parse_json
from orchestrator.core.manifest import FILE_TYPES, option_name
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.cli.context import Context
    from orchestrator.core.manifest import Input, Takes

STANDARD_INPUT = "-"


def input_options(manifest: Takes) -> list[click.Option]:
    """Return one option for each input of `manifest`."""
    return [_option(name, declared) for name, declared in manifest.inputs.items()]


def _flag(name: str) -> str:
    return f"--{option_name(name)}"


def _option(name: str, declared: Input) -> click.Option:
    option = _flag(name)
    default = None if declared.default is msgspec.UNSET else declared.default
    flags = f"{option}/--no-{option[2:]}" if declared.type == "boolean" else option
    help_text = declared.help
    if default is not None:
        shown = ("yes" if default else "no") if declared.type == "boolean" else default
        help_text += f"  [default: {shown}]"
    return click.Option(
        [flags, name],
        type=_type(declared),
        # The check of inputs fills in defaults, for every caller.
        default=None,
        required=declared.required,
        multiple=declared.list,
        help=help_text,
    )


def _type(declared: Input) -> click.ParamType[Any]:
    low, high = declared.minimum, declared.maximum
    if declared.type == "integer":
        return click.IntRange(
            None if low is None else int(low), None if high is None else int(high)
        )
    if declared.type == "number":
        return click.FloatRange(low, high)
    if declared.type == "boolean":
        return click.BOOL
    if declared.type == "choice":
        return click.Choice(list(declared.choices))
    if declared.type in FILE_TYPES or declared.type == "array":
        return GivenPath(allow_dash=True, readable=False)
    return click.STRING


def collect(
    context: Context, manifest: Takes, given: Mapping[str, Any], spool: Path
) -> dict[str, Any]:
    """Return the inputs that were given, with `-` replaced by what standard input holds.

    Args:
        context: Reads standard input.
        manifest: The model's manifest.
        given: What click parsed, None or empty where nothing was given.
        spool: A directory for a file that comes on standard input.

    Raises:
        UsageError: When `-` is given twice, or standard input does not fit the input.
    """
    values = {
        name: list(value) if manifest.inputs[name].list else value
        for name, value in given.items()
        if value is not None and value != ()
    }
    readers = [
        name
        for name, value in values.items()
        if manifest.inputs[name].type in (*FILE_TYPES, "text", "array") and value == STANDARD_INPUT
    ]
    if len(readers) > 1:
        raise UsageError(
            f"both {_flag(readers[0])} and {_flag(readers[1])} read standard input",
            fix="give one of them a path",
        )
    for name in readers:
        is_text = manifest.inputs[name].type == "text"
        values[name] = read_text(context, name) if is_text else _read_file(context, name, spool)
    return {name: _parse(name, manifest.inputs[name].type, value) for name, value in values.items()}


def read_text(context: Context, name: str) -> str:
    """Return the text on standard input, for the input `name`.

    Raises:
        UsageError: When it is not UTF-8.
    """
    try:
        return _read(context, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"standard input is not UTF-8 text ({error.reason} at byte {error.start})",
            fix="convert it first, for instance with iconv",
        ) from error


def _read_file(context: Context, name: str, spool: Path) -> Path:
    path = spool / "standard-input"
    path.write_bytes(_read(context, name))
    if not path.stat().st_size:
        raise UsageError("standard input was empty", fix=f"pipe a file into {_flag(name)} -")
    return path


def _read(context: Context, name: str) -> bytes:
    if sys.stdin.isatty() and not context.input_read:
        write_if_possible(sys.stderr, f"mm: {_flag(name)} reads standard input (end with Ctrl-D)\n")
    return context.standard_input


def _parse(name: str, kind: str, value: Any) -> Any:
    """Return the value of an input, read from the text or the path of its option."""
    if kind == "array":
        from orchestrator.jobs.npy import read_npy

        return [read_npy(path) for path in value] if isinstance(value, list) else read_npy(value)
    if kind != "json":
        return value
    texts = value if isinstance(value, list) else [value]
    try:
        parsed = [parse_json(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"the value of {_flag(name)} is not JSON ({error})") from error
    return parsed if isinstance(value, list) else parsed[0]
