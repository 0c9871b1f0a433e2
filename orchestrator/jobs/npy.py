"""Arrays in `.npy` files, read and written without NumPy.

The format is NumPy's own (numpy.lib.format, versions 1.0 to 3.0): a magic string, a header that is
a Python literal, and the elements. Arrays of Python objects, which would need pickle, are refused.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.worker.encoding import array_view, encode_array

MAGIC = b"\x93NUMPY"
MAX_HEADER = 65_536
ALIGNMENT = 64


def read_npy(path: str | os.PathLike[str]) -> Any:
    """Return the array in the file `path`: NumPy's where there is NumPy, else a memoryview.

    Raises:
        UsageError: When the file is missing or holds no such array.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    try:
        header, start = _header(data)
        elements = memoryview(data)[start:]
        if header["fortran_order"] and len(header["shape"]) > 1:
            reverse = array_view(elements, header["descr"], header["shape"][::-1])
            return reverse.T
        return array_view(elements, header["descr"], header["shape"])
    except (ValueError, TypeError, KeyError, AttributeError, SyntaxError, MemoryError) as error:
        raise UsageError(
            f"is no .npy array that can be used here ({error})",
            where=str(path),
            fix="save it with numpy.save(path, array, allow_pickle=False)",
        ) from error


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    if data[:6] != MAGIC or len(data) < 12:
        raise ValueError("it does not begin as one")
    width = 2 if data[6] == 1 else 4
    size = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + size
    if size > MAX_HEADER or start > len(data):
        raise ValueError("its header is too long")
    header = ast.literal_eval(data[8 + width : start].decode("utf-8" if data[6] == 3 else "latin1"))
    if isinstance(header, dict) and isinstance(header.get("shape"), tuple):
        return header, start
    raise ValueError("its header is damaged")


def npy_bytes(value: Any) -> bytes:
    """Return `value`, an array as `Result` holds it, as the bytes of an `.npy` file."""
    return b"".join(npy_parts(value))


def npy_parts(value: Any) -> tuple[bytes, memoryview]:
    """Return the head of an `.npy` file of `value`, and the elements, which are not copied."""
    buffers: list[memoryview] = []
    wire = encode_array(value, buffers)
    described = wire["dtype"]
    if isinstance(described, list):
        described = [tuple(part) for part in described]
    text = repr({"descr": described, "fortran_order": False, "shape": tuple(wire["shape"])})
    room = -(len(MAGIC) + 2 + 2 + len(text) + 1) % ALIGNMENT
    header = (text + " " * room + "\n").encode("latin1")
    return MAGIC + b"\x01\x00" + len(header).to_bytes(2, "little") + header, buffers[0]
