"""What samples must be to be a sound; used on both sides of the wire."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

TYPE_CHECKING = False  # as `typing` has it, which costs more than the rest of a module
if TYPE_CHECKING:
    from typing import Any

MOST_CHANNELS = 8
"""More in the second dimension are frames: the array is transposed."""

FORMATS = {"<f4": "f", "<i2": "h"}
AUDIBLE = {"<f4": 0.001, "<i2": 33}
"""The largest sample of what counts as silence: -60 dB of full scale."""

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
STORED = {(PCM, 16): "<i2", (FLOAT, 32): "<f4"}
"""The samples that a WAV file may hold, by the tag and the bits of its format."""


def problem(data: memoryview, dtype: str, shape: Sequence[int]) -> str:
    """Return why samples are no sound, as a clause that follows their name; empty if they are one.

    Args:
        data: The samples, flat bytes.
        dtype: "<f4" or "<i2".
        shape: Frames, or frames and channels.
    """
    frames, channels = shape if len(shape) > 1 else (shape[0], 1)
    if not 1 <= channels <= MOST_CHANNELS:
        return (
            f"has the shape {frames} x {channels}, and a sound is frames x channels, with 1 to "
            f"{MOST_CHANNELS} channels"
        )
    if dtype != "<f4":
        return ""
    samples: Any = data.cast("f")
    # Finite samples of single precision never add up to what double precision cannot hold.
    if math.isfinite(sum(samples)):
        return ""
    place, sample = next(each for each in enumerate(samples) if not math.isfinite(each[1]))
    return f"holds {sample}, which is no sample, at frame {place // channels} of {frames}"


def is_silent(data: memoryview, dtype: str) -> bool:
    """Return whether nothing can be heard in samples, flat bytes of `dtype`."""
    most = AUDIBLE[dtype]
    samples: Any = data.cast(FORMATS[dtype])  # type: ignore[call-overload]
    return not any(sample > most or sample < -most for sample in samples)


def of_file(path: str) -> tuple[memoryview, str, tuple[int, int]] | None:
    """Return the samples of a WAV file, their dtype and shape; None for any other file."""
    with open(path, "rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        form = b""
        while len(chunk := stream.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"fmt ":
                form = stream.read(size + size % 2)
            elif chunk[:4] == b"data":
                return _samples(stream, form, size)
            else:
                stream.seek(size + size % 2, 1)
    return None


def _samples(stream: Any, form: bytes, size: int) -> tuple[memoryview, str, tuple[int, int]] | None:
    tag, channels, bits = (int.from_bytes(form[at : at + 2], "little") for at in (0, 2, 14))
    if tag == EXTENSIBLE:
        tag = int.from_bytes(form[24:26], "little")
    dtype = STORED.get((tag, bits))
    if dtype is None or not channels:
        return None
    begin = stream.tell()
    data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))[begin:][:size]
    width = channels * bits // 8
    frames = len(data) // width
    return data[: frames * width], dtype, (frames, channels)
