"""Values of jobs, checked by the types that a manifest declares: inputs before, outputs after.

Nothing is read or written here. `orchestrator.worker.encoding` is the other end of the wire.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.core.manifest import FILE_TYPES, Input, Output, Takes
from orchestrator.core.paths import given_path
from orchestrator.errors import OutputError, UsageError
from orchestrator.worker import frames, sound
from orchestrator.worker.encoding import MAX_NUMBER, SCALARS, as_json, is_scalar, own_scalar

AUDIO_ITEM_SIZES = {"<f4": 4, "<i2": 2}
MAX_RATE = 1_000_000
PLAIN = frozenset({*SCALARS, "json"})
"""The types of what JSON itself can hold."""

_TAKES = {
    "text": "text",
    "choice": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

MAX_INPUTS = frames.MAX_MESSAGE - (1 << 20)
"""Bytes of the inputs that are no files, as JSON; what else the message says takes far less."""

SMALL = 1 << 16
"""Characters of a text that is not measured."""

MAX_DIMENSIONS = 64
"""As many as NumPy 2 allows."""


class FileValue(msgspec.Struct, frozen=True):
    """An output that is a file in the job's directory."""

    path: str


class AudioValue(msgspec.Struct, frozen=True):
    """Samples: flat little-endian bytes of `dtype` ("<f4" or "<i2"), in `shape` order.

    `shape` is (frames,) or (frames, channels); `rate` is in Hz.
    """

    data: memoryview
    dtype: str
    shape: tuple[int, ...]
    rate: int


class ArrayValue(msgspec.Struct, frozen=True):
    """An array: flat bytes in C order, a NumPy dtype description, and a shape."""

    data: memoryview
    dtype: Any
    shape: tuple[int, ...]


def check_inputs(manifest: Takes, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs to send, with defaults filled in.

    An input that is neither given nor has a default is left out.

    Raises:
        UsageError: For an input that is not declared, is missing, or is not of its type.
    """
    inputs = manifest.inputs
    for name in given:
        if name not in inputs:
            raise UsageError(
                f"{manifest.name} has no input {name!r}",
                fix=f"its inputs are {', '.join(inputs)}",
            )
    values: dict[str, Any] = {}
    for name, declared in inputs.items():
        value = given.get(name)
        if value is not None:
            check = _check_list if declared.list else _check_one
            values[name] = check(name, declared, value)
        elif declared.default is not msgspec.UNSET:
            values[name] = declared.default
        elif declared.required:
            raise UsageError(
                f"{manifest.name} needs the input {name!r}",
                fix=f"run: mm run {manifest.name} --help",
                fix_in_code=f"look at: Session.inputs({manifest.name!r})",
            )
    _check_size({name: each for name, each in values.items() if inputs[name].type in PLAIN})
    return values


def _check_size(values: Mapping[str, Any]) -> None:
    """Check that values fit into one message, before anything is built or loaded for them."""
    sizes = {
        name: len(value) if isinstance(value, str) and len(value) < SMALL else _size(value)
        for name, value in values.items()
        if isinstance(value, (str, list, tuple, dict))
    }
    if (size := sum(sizes.values())) > MAX_INPUTS:
        raise UsageError(
            f"text and JSON of {size:,} bytes, and a job takes {MAX_INPUTS:,}",
            where=f"input {max(sizes, key=lambda name: sizes[name])!r}",
            fix="give it in several jobs",
        )


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _check_list(name: str, declared: Input, value: Any) -> Any:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise UsageError(f"input {name!r} takes a list")
    return [_check_one(name, declared, item) for item in value]


def _check_one(name: str, declared: Input, value: Any) -> Any:
    kind = declared.type
    if kind in PLAIN:
        value = own_scalar(value)
    if kind in SCALARS and not is_scalar(kind, value):
        shown = repr(value) if kind in ("integer", "number") else type(value).__name__
        raise UsageError(f"input {name!r} takes {_TAKES[kind]}, not {shown}")
    if kind in ("text", "choice"):
        _check_text(name, declared, value)
    elif kind in FILE_TYPES:
        if not hasattr(value, "__fspath__") and not isinstance(value, str):
            raise UsageError(f"input {name!r} takes a path, not {type(value).__name__}")
        given_path(value, f"input {name!r}")
    elif kind in ("integer", "number"):
        _check_number(name, declared, value)
    elif kind == "json":
        return _checked_json(name, value)
    return value


def _check_text(name: str, declared: Input, value: str) -> None:
    if not (value.isascii() or _is_unicode(value)):
        raise UsageError(f"input {name!r} is no Unicode text", fix="write it in UTF-8")
    if declared.type == "choice" and value not in declared.choices:
        raise UsageError(
            f"input {name!r} cannot be {value!r}", fix=f"choose from {', '.join(declared.choices)}"
        )


def _checked_json(name: str, value: Any) -> Any:
    try:
        return as_json(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"input {name!r} is not JSON: {error}") from error


def _check_number(name: str, declared: Input, value: float) -> None:
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise UsageError(f"input {name!r} takes a number, and none beyond {MAX_NUMBER:g}")
    low, high = declared.minimum, declared.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise UsageError(f"input {name!r} is {value:g}, and must be {' and '.join(bounds)}")


def check_output(
    model: str, name: str, declared: Output, value: Any, buffers: Sequence[memoryview]
) -> Any:
    """Return one output as the wire brought it, after checking every part of it.

    Returns:
        The Python value, a `FileValue`, an `AudioValue` or an `ArrayValue`.

    Raises:
        OutputError: When the worker sent what the manifest does not allow.
    """
    kind = declared.type
    if kind in PLAIN:
        if kind in SCALARS and not is_scalar(kind, value):
            raise _wrong(model, name, kind)
        try:
            whole = _is_unicode(value)
        except RecursionError as error:
            raise OutputError(f"output {name!r} is nested too deep", where=model) from error
        if not whole:
            raise OutputError(f"output {name!r} holds half of a surrogate pair", where=model)
        return value
    if kind == "array":
        data = _buffer(model, name, value, buffers)
        return ArrayValue(data, value.get("dtype"), _shape(model, name, value))
    if kind == "audio" and not _is_path(value):
        return _check_audio(model, name, value, buffers)
    if not _is_path(value):
        raise _wrong(model, name, kind)
    return FileValue(value["path"])


def _is_unicode(value: Any) -> bool:
    """Return whether all text in a value can be written anywhere: no half of a surrogate pair."""
    if isinstance(value, str):
        if value.isascii():
            return True
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_audio(model: str, name: str, value: Any, buffers: Sequence[memoryview]) -> AudioValue:
    data = _buffer(model, name, value, buffers)
    shape = _shape(model, name, value)
    rate, dtype = value.get("rate"), value.get("dtype")
    if not isinstance(rate, int) or isinstance(rate, bool) or not 0 < rate <= MAX_RATE:
        raise OutputError(f"output {name!r} has the sample rate {rate!r}", where=model)
    size = AUDIO_ITEM_SIZES.get(dtype) if isinstance(dtype, str) else None
    if size is None or len(shape) not in (1, 2) or math.prod(shape) * size != len(data):
        raise _wrong(model, name, "audio")
    if problem := sound.problem(data, dtype, shape):
        raise OutputError(f"output {name!r} {problem}", where=model)
    return AudioValue(data, dtype, shape, rate)


def _is_path(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"path"} and isinstance(value["path"], str)


def _buffer(model: str, name: str, value: Any, buffers: Sequence[memoryview]) -> memoryview:
    index = value.get("buffer") if isinstance(value, dict) else None
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(buffers):
        raise _wrong(model, name, "data")
    return buffers[index]


def _shape(model: str, name: str, value: Any) -> tuple[int, ...]:
    shape = value.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_DIMENSIONS
        or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    ):
        raise _wrong(model, name, "data with a shape")
    return tuple(shape)


def _wrong(model: str, name: str, kind: str) -> OutputError:
    return OutputError(f"output {name!r} is not {kind}, as the manifest says", where=model)
