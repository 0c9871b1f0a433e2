"""What `worker.frames.parse` does, in a tenth of the time, for the side that may use libraries."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.worker import frames

_decode = msgspec.json.Decoder().decode


def parse(data: bytes) -> dict[str, Any]:
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
