"""Times, sizes and counts as a report says them."""

from __future__ import annotations

from datetime import datetime, timezone


def seconds(value: float) -> str:
    """Return a length of time: `0.4 ms`, `53 ms`, `1.24 s`, `3 min 5 s`, `2 h 4 min`."""
    if value < 0.01:
        return f"{1e3 * value:.1f} ms"
    if value < 1:
        return f"{1e3 * value:.0f} ms"
    if value < 60:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(value: float) -> str:
    """Return a moment of the clock on the wall, in UTC."""
    return f"{datetime.fromtimestamp(value, tz=timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def count(number: int, word: str) -> str:
    """Return `1 item`, `2 items`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def shorter(words: str, length: int) -> str:
    """Return the words, cut in the middle where they are longer than `length` characters."""
    if len(words) <= length:
        return words
    half = (length - 1) // 2
    return f"{words[:half]}…{words[-half:]}"
