"""JSON text to data, with one kind of error: text nested too deeply is no valid JSON here."""

from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")

TOO_DEEP = "nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Return what JSON text holds.

    Raises:
        ValueError: When it is not JSON, not UTF-8, or nested deeper than Python can read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's words for it name a function of Python's
        raise ValueError("a number in it has too many digits") from None


def parse_record(data: bytes, kind: type[T]) -> T:
    """Return the record of the type `kind` that JSON holds.

    Raises:
        ValueError: As `parse_json`, and when its types do not fit.
    """
    import msgspec

    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
