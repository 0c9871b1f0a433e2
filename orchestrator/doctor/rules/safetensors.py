"""The header of a safetensors file: which tensors it says it holds, checked against its size.

The format: eight bytes, little endian, that give the header's length; the header, JSON; then the
tensors, back to back. Only the header is read, so that a file of 7 GB takes milliseconds. Nothing
that a file says of itself is believed before it was checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

MAX_HEADER = 16 << 20
"""Bytes of a header that is read.

safetensors itself stops at 100 MB; but a header takes some 100 bytes a tensor, so that this has
room for 160,000 tensors in one file, more than any published shard has, and what Python makes of it
stays far below a gigabyte.
"""

MAX_RANK = 64
"""Dimensions of a tensor; torch itself knows no more."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of one value of each dtype."""

_Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Damaged(Exception):
    """The file is not what it says, or is no safetensors file."""


class Tensor(msgspec.Struct, frozen=True):
    """What a header says of one tensor."""

    dtype: str
    shape: list[_Whole]
    data_offsets: tuple[_Whole, _Whole]

    @property
    def parameters(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """A checked header.

    Attributes:
        tensors: What it says of each tensor, by name.
        metadata: What its maker noted.
        size: Bytes of the whole file.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    size: int


def read_header(size: int, read: Callable[[int, int], bytes]) -> Header:
    """Return the header of a file of `size` bytes.

    Args:
        size: Bytes of the file.
        read: Returns at most so many bytes (second) from an offset (first) on.

    Raises:
        Damaged: With what is wrong, in a clause.
    """
    if size < 8:
        raise Damaged(f"has {size} bytes, too few for a header")
    length = int.from_bytes(read(0, 8), "little")
    if length > size - 8:
        raise Damaged(
            f"says that its header has {length} bytes, and the whole file has {size}: it is cut "
            "short, or no safetensors file"
        )
    if length > MAX_HEADER:
        raise Damaged(
            f"says that its header has {length} bytes; more than {MAX_HEADER} are not read"
        )
    data = read(8, length)
    if len(data) != length or not data.startswith(b"{"):
        raise Damaged("has no header where one should be")
    tensors, metadata = _parsed(data)
    _check(tensors, size - 8 - length)
    return Header(tensors, metadata, size)


def _parsed(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        noted = parts.pop("__metadata__", None)
        metadata = msgspec.json.decode(noted, type=dict[str, str]) if noted is not None else {}
        decode = msgspec.json.Decoder(Tensor).decode
        return {name: decode(part) for name, part in parts.items()}, metadata
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"has a header that cannot be read: {error}") from error


def _check(tensors: Mapping[str, Tensor], room: int) -> None:
    """Check that the tensors lie back to back in the `room` bytes after the header."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda each: each[1].data_offsets):
        shown = name if len(name) <= 100 else f"{name[:100]}…"
        if tensor.dtype not in BITS:
            raise Damaged(f"has a tensor {shown!r} of the unknown dtype {tensor.dtype[:20]!r}")
        if len(tensor.shape) > MAX_RANK:
            raise Damaged(f"has a tensor {shown!r} of {len(tensor.shape)} dimensions")
        begin, stop = tensor.data_offsets
        bits = tensor.parameters * BITS[tensor.dtype]
        if begin != end or stop < begin or (stop - begin) * 8 != bits:
            raise Damaged(
                f"says of the tensor {shown!r} that it lies from {begin} to {stop}, which its "
                "shape, its dtype or its neighbours deny"
            )
        end = stop
    if end > room:
        raise Damaged(f"is cut short: its tensors take {end} bytes, and {room} are there")
    if end < room:
        raise Damaged(f"has {room - end} bytes that belong to no tensor")
