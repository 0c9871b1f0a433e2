"""What `worker.frames` does with JSON, in a tenth of the time: a client may use libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.worker import frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.worker.frames import BufferSpec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode(body: dict[str, Any], specs: Sequence[BufferSpec] = ()) -> bytes:
    """Return header and JSON of a frame; the inline buffers' bytes are to follow it.

    Everything in it has been checked before: what JSON cannot hold and msgspec writes all the
    same, such as NaN (as null) or bytes, is not refused here.

    Raises:
        ValueError, TypeError, RecursionError: As `frames.encode`.
    """
    if not specs:
        try:
            data = _encode(body)
        except (TypeError, ValueError, OverflowError, RecursionError):
            # Half a surrogate pair, a number of more than 64 bits, or what no JSON can hold.
            return frames.encode(body)
        if len(data) <= frames.MAX_MESSAGE:
            return len(data).to_bytes(frames.HEADER, "big") + data
    return frames.encode(body, specs)


def parse(data: bytes | memoryview) -> dict[str, Any]:
    """Return the JSON object that `data` holds.

    Raises:
        ProtocolError: When it is not JSON, not an object, or nested too deeply.
    """
    try:
        body = _decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        # Either it is wrong, and the words are the same for both sides, or it is one of the few
        # things that only Python's own reader takes, such as half a surrogate pair.
        return frames.parse(data)
    return body if isinstance(body, dict) else frames.parse(data)
