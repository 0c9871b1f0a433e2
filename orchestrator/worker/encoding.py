"""Values between the wire and the runner, by the types that the manifest declares.

The parent has checked inputs before they were sent, and checks outputs again after they came; what
is refused here is what a runner returned, in words for its author.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence

from . import sound

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

SCALARS: dict[str, Any] = {
    "text": str, "choice": str, "integer": int, "number": (int, float), "boolean": bool,
}  # fmt: skip
"""Types that travel as they are, and what Python has for them."""

MAX_DEPTH = 200
"""How deep the lists and objects of a JSON value may nest: less than any reader of JSON can follow,
with a message around the value and a caller's own stack below the reader."""

MAX_NUMBER = sys.float_info.max
"""The largest number, and the smallest where it is negative; readers refuse much longer ones."""

LEAVES = frozenset((str, float, bool, type(None)))
"""Types of JSON values that hold no others, and whose range the encoder checks."""

BUILT_IN = frozenset((int, dict, list, tuple))
"""Types of the other JSON values, where they are Python's own."""

PATHS = ("image", "file")
AUDIO_FORMATS = {"f": "<f4", "h": "<i2"}


class OutputMismatch(Exception):
    """The runner returned what its manifest does not allow."""


def decode_inputs(
    inputs: dict[str, Any], types: dict[str, str], buffers: list[memoryview]
) -> dict[str, Any]:
    """Return the keywords for `run`.

    Args:
        inputs: Values by name, as they came.
        types: The type of each input, with `[]` behind it where it is a list.
        buffers: What arrays refer to.
    """
    decoded = {}
    for name, value in inputs.items():
        kind = types[name]
        decoded[name] = value if kind in SCALARS else _decode(kind, value, buffers)
    return decoded


def _decode(kind: str, value: Any, buffers: list[memoryview]) -> Any:
    if kind.endswith("[]"):
        return [_decode(kind[:-2], item, buffers) for item in value]
    if kind in PATHS or kind == "audio":
        import pathlib

        return pathlib.Path(value)
    if kind == "array":
        return array_view(buffers[value["buffer"]], value["dtype"], value["shape"])
    return value


def array_view(data: memoryview, dtype: Any, shape: Sequence[int]) -> Any:
    """Return a read-only array over `data`: NumPy's where there is NumPy, else a memoryview.

    Args:
        data: The elements, flat, in C order.
        dtype: A NumPy dtype's description: a string such as "<f4", or a list of fields, each of
            name, description and, for a field that is an array, its shape.
        shape: Its dimensions.

    Raises:
        TypeError, ValueError: When the three do not fit together.
    """
    try:
        import numpy as np
    except ImportError:
        return _typed_view(data, dtype, shape)
    kind = np.lib.format.descr_to_dtype(_description(dtype))
    if kind.hasobject:
        raise TypeError("an array of Python objects")
    if len(data):
        return np.frombuffer(data, dtype=kind).reshape(shape)
    # NumPy makes no view of nothing.
    if math.prod(shape) * kind.itemsize:
        raise ValueError("an array without its elements")
    empty = np.empty(shape, dtype=kind)
    empty.flags.writeable = False
    return empty


def _description(dtype: Any) -> Any:
    """Return a dtype's description as NumPy wants it; JSON has made lists of its tuples."""
    if isinstance(dtype, str):
        return dtype
    if not isinstance(dtype, list) or not all(
        isinstance(field, (list, tuple)) and len(field) in (2, 3) for field in dtype
    ):
        raise TypeError("a description that is none")
    fields = []
    for name, kind, *shape in dtype:
        title = tuple(name) if isinstance(name, list) else name
        fields.append((title, _description(kind), *(tuple(each) for each in shape)))
    return fields


def _typed_view(data: memoryview, dtype: Any, shape: Sequence[int]) -> Any:
    codes = {
        "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
        "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "b1": "?",
    }  # fmt: skip
    order = "<" if sys.byteorder == "little" else ">"
    if not isinstance(dtype, str) or dtype[:1] not in (order, "|") or dtype[1:] not in codes:
        raise TypeError(f"an array of {dtype!r} needs numpy")
    view: Any = data.cast(codes[dtype[1:]])  # type: ignore[call-overload]
    # A view of no bytes cannot be cast to a shape.
    return view.cast("B").cast(codes[dtype[1:]], list(shape)) if len(view) else view


def encode_outputs(
    returned: Any, types: dict[str, str], primary: str
) -> tuple[dict[str, Any], list[memoryview]]:
    """Return the outputs for the wire, and the buffers that they refer to.

    Raises:
        OutputMismatch: When `returned` is not what `types` (output name to type) allows.
    """
    if not isinstance(returned, dict):
        raise OutputMismatch(
            f"run must return a dict of its outputs ({', '.join(types)}), "
            f"and it returned {_name(returned)}"
        )
    if primary not in returned:
        raise OutputMismatch(f"run returned no {primary!r}, the manifest's primary output")
    encoded = {}
    buffers: list[memoryview] = []
    for name, value in returned.items():
        if name not in types:
            raise OutputMismatch(f"run returned {name!r}, which the manifest does not declare")
        kind = types[name]
        if kind in SCALARS:
            encoded[name] = _encode_scalar(name, kind, value)
        else:
            encoded[name] = encode(name, kind, value, buffers)
    return encoded, buffers


def encode(name: str, kind: str, value: Any, buffers: list[memoryview]) -> Any:
    """Return the wire's form of one output, adding its bytes to `buffers`.

    Raises:
        OutputMismatch: When `value` is not of the type `kind`.
    """
    if kind in SCALARS:
        return _encode_scalar(name, kind, value)
    if kind == "audio" and not isinstance(value, (str, os.PathLike)):
        return _encode_audio(name, value, buffers)
    if kind in PATHS or kind == "audio":
        if not isinstance(value, (str, os.PathLike)):
            raise _mismatch(name, f"a path of {_article(kind)}", value)
        path = os.path.abspath(os.fspath(value))
        if not os.path.isfile(path):
            raise OutputMismatch(f"output {name!r} names {path}, and no such file is there")
        if kind == "audio" and (found := sound.of_file(path)) is not None:
            _refuse_noise(name, *found)
        return {"path": path}
    if kind == "array":
        try:
            return encode_array(value, buffers)
        except (TypeError, ValueError) as error:
            raise OutputMismatch(f"output {name!r} is {error}, and must be an array") from None
    try:
        return as_json(value)
    except (TypeError, ValueError) as error:
        raise OutputMismatch(f"output {name!r} is not JSON: {error}") from None


def is_scalar(kind: str, value: Any) -> bool:
    """Return whether `value` is of a type in `SCALARS`; a truth value is no number."""
    return isinstance(value, SCALARS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def own_scalar(value: Any) -> Any:
    """Return a scalar of NumPy, torch or their like as Python's own; anything else as it is."""
    if value.__class__ in LEAVES or not hasattr(value, "item"):
        return value
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not isinstance(shape, tuple) or shape or getattr(dtype, "kind", "") in ("m", "M"):
        return value  # a date would become a number of nanoseconds
    own = value.item()
    # The item of a type that Python lacks, such as long double, is the scalar itself.
    return float(own) if own.__class__ is value.__class__ and hasattr(own, "__float__") else own


def as_json(value: Any) -> Any:
    """Return `value` as JSON that the other side can read, with scalars as Python's own.

    Raises:
        TypeError, ValueError: When it is not.
    """
    level = [value]
    foreign = False
    # By hand, and before the encoder: its own limit on depth is the interpreter's, and a model may
    # move that beyond what the stack holds.
    for _ in range(MAX_DEPTH + 1):
        rest = [each for each in level if each.__class__ not in LEAVES]
        if any(isinstance(each, int) and not -MAX_NUMBER <= each <= MAX_NUMBER for each in rest):
            raise ValueError(f"a number in it is beyond {MAX_NUMBER:g}")
        # Each once, however often it is there: what holds itself would be there without end.
        nested = {id(each): each for each in rest if isinstance(each, (dict, list, tuple))}
        foreign = foreign or any(each.__class__ not in BUILT_IN for each in rest)
        if not nested:
            own = _own_scalars(value) if foreign else value
            json.dumps(own, allow_nan=False)
            return own
        level = []
        for each in nested.values():
            if isinstance(each, dict):
                foreign = foreign or any(key.__class__ is not str for key in each)
            level += each.values() if isinstance(each, dict) else each
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _own_scalars(value: Any) -> Any:
    if isinstance(value, dict):
        return {own_scalar(key): _own_scalars(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_own_scalars(each) for each in value]
    return own_scalar(value)


def _encode_scalar(name: str, kind: str, value: Any) -> Any:
    value = own_scalar(value)
    if not is_scalar(kind, value):
        raise _mismatch(name, "text" if kind == "choice" else kind, value)
    if isinstance(value, (int, float)) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise OutputMismatch(f"output {name!r} is no number, or one beyond {MAX_NUMBER:g}")
    return value


def _encode_audio(name: str, value: Any, buffers: list[memoryview]) -> Any:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise _mismatch(name, "(samples, rate) or a path", value)
    samples, rate = value
    np: Any = sys.modules.get("numpy")
    if np is not None and hasattr(samples, "__array__"):
        samples = np.ascontiguousarray(samples)
    whole = hasattr(rate, "__index__") and not isinstance(rate, bool)
    if not whole or rate.__index__() > MAX_NUMBER:
        raise _mismatch(name, "(samples, rate) with the rate in whole Hz", rate)
    try:
        view = memoryview(samples)
    except TypeError:
        raise _mismatch(name, "samples as an array of float32 or int16", samples) from None
    dtype = AUDIO_FORMATS.get(view.format)
    if dtype is None or view.ndim not in (1, 2):
        raise OutputMismatch(
            f"output {name!r} must be samples of float32 or int16, frames or frames x channels, "
            f"and it is of format {view.format!r} with {view.ndim} dimensions"
        )
    data, shape = flat(view), list(view.shape or ())
    _refuse_noise(name, data, dtype, shape)
    buffers.append(data)
    return {
        "buffer": len(buffers) - 1, "dtype": dtype, "shape": shape, "rate": rate.__index__(),
    }  # fmt: skip


def _refuse_noise(name: str, data: memoryview, dtype: str, shape: Sequence[int]) -> None:
    if problem := sound.problem(data, dtype, shape):
        raise OutputMismatch(f"output {name!r} {problem}")


def silent(encoded: dict[str, Any], types: dict[str, str], buffers: list[memoryview]) -> list[str]:
    """Return the names of outputs that are sounds in which nothing can be heard.

    Args:
        encoded: Outputs, as `encode_outputs` returns them.
        types: The type of each.
        buffers: What they refer to.
    """
    names = []
    for name, value in encoded.items():
        if types[name] != "audio":
            continue
        if "path" in value:
            found = sound.of_file(value["path"])
        else:
            found = buffers[value["buffer"]], value["dtype"], value["shape"]
        if found is not None and sound.is_silent(*found[:2]):
            names.append(name)
    return names


def encode_array(value: Any, buffers: list[memoryview]) -> dict[str, Any]:
    """Return the wire's form of an array, adding its elements to `buffers`, in C order.

    Args:
        value: A NumPy array of any type but object, or anything that NumPy or the buffer protocol
            takes for an array.
        buffers: Where its bytes go.

    Raises:
        TypeError: When `value` is no such array; the text is a clause that follows "is".
    """
    np: Any = sys.modules.get("numpy")
    if np is None or not hasattr(value, "__array__"):
        return _encode_buffer(value, buffers)
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError("an array of Python objects")
    if array.dtype.kind == "V" and not issubclass(array.dtype.type, np.void):
        # NumPy would describe it as nameless bytes.
        raise TypeError(f"an array of {array.dtype}, which has no description outside its package")
    if array.dtype.names is not None:
        array = _describable(np, array)
    whole = np.ascontiguousarray(array)
    data = whole.reshape(-1).view("u1") if whole.nbytes else b""
    buffers.append(memoryview(data))
    return {
        "buffer": len(buffers) - 1,
        "dtype": np.lib.format.dtype_to_descr(array.dtype),
        "shape": list(array.shape),
    }


def _describable(np: Any, array: Any) -> Any:
    """Return an array of records as one whose type `np.lib.format` can describe."""
    if array.dtype.type is not np.void:
        array = array.view(np.dtype((np.void, array.dtype)))  # a record array is one with methods
    try:
        np.lib.format.dtype_to_descr(array.dtype)
    except ValueError:
        # Fields that overlap or are out of order: the values travel, their places do not.
        from numpy.lib import recfunctions

        return recfunctions.repack_fields(array, recurse=True)
    return array


def _encode_buffer(value: Any, buffers: list[memoryview]) -> dict[str, Any]:
    try:
        view = memoryview(value)
    except TypeError:
        raise TypeError(f"no array but {_name(value)}") from None
    dtype = _dtype_of(view)
    buffers.append(flat(view))
    return {"buffer": len(buffers) - 1, "dtype": dtype, "shape": list(view.shape or ())}


def _dtype_of(view: memoryview) -> str:
    kinds = {"f": "f", "d": "f", "?": "b"}
    letter = view.format[-1:]
    kind = kinds.get(letter) or ("i" if letter in "bhilqn" else "u" if letter in "BHILQN" else "")
    if not kind or len(view.format.lstrip("@=")) != 1:
        raise TypeError(f"an array of format {view.format!r}")
    order = "|" if view.itemsize == 1 else "<" if sys.byteorder == "little" else ">"
    return f"{order}{kind}{view.itemsize}"


def flat(view: memoryview) -> memoryview:
    """Return the elements of `view` in C order as flat bytes, without a copy where it can be."""
    if view.c_contiguous and view.nbytes:
        return view.cast("B")
    return memoryview(view.tobytes())


def _mismatch(name: str, wanted: str, value: Any) -> OutputMismatch:
    return OutputMismatch(f"output {name!r} must be {wanted}, and run returned {_name(value)}")


def _name(value: Any) -> str:
    return "nothing" if value is None else f"{_article(type(value).__name__)}"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
