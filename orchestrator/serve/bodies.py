"""JSON bodies of requests as records."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from orchestrator.serve.refusals import Refused

T = TypeVar("T")


def converted(body: dict[str, Any], kind: type[T]) -> T:
    """Return a JSON object as a record; what the record does not have is left out.

    Raises:
        Refused: When something is missing or of another type; the message names it.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise Refused(400, str(error).replace("$.", ""), "malformed") from error
