"""Durations, sizes and counts as people write them: `5m`, `forever`, `21 GiB`, `2 items`."""

from __future__ import annotations

import math
import re

FOREVER = "forever"

MAX_SECONDS = 36500 * 86400
"""The longest time that is taken, a hundred years: far less than a lock or a date overflows at."""

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>{_NUMBER}) ?{unit} ?)?" for unit in _SECONDS), re.ASCII
)
_PLAIN_NUMBER = re.compile(_NUMBER, re.ASCII)
_SIZE = re.compile(rf"({_NUMBER}) ?([kmgtKMGT]?)(i?)B", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_duration(text: str) -> float:
    """Return `text` in seconds; `forever` is infinity.

    A number alone is seconds. `d`, `h`, `m` and `s` may stand together, largest first: `1h30m`.

    Raises:
        ValueError: For anything else.
    """
    text = text.strip()
    if text == FOREVER:
        return math.inf
    seconds = math.nan
    if _PLAIN_NUMBER.fullmatch(text):
        seconds = float(text)
    elif text and (match := _DURATION.fullmatch(text)):
        seconds = sum(float(match[unit] or 0) * factor for unit, factor in _SECONDS.items())
    if math.isnan(seconds):
        raise ValueError(f"{text!r} is not a duration; write 90s, 5m, 1h30m, 0 or forever")
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text!r} is more than 36500d; write {FOREVER}")
    return seconds


def timeout_problem(seconds: object) -> str:
    """Return why a load or a run cannot have that time, as a clause, or nothing."""
    if isinstance(seconds, (int, float)) and 0 < seconds <= MAX_SECONDS:
        return ""
    return "must be more than 0 seconds, and at most a hundred years"


def format_duration(seconds: float) -> str:
    """Return `seconds` (0 or more, or infinity) in the notation of `parse_duration`."""
    if math.isinf(seconds):
        return FOREVER
    if seconds != int(seconds):
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    rest, parts = int(seconds), []
    for unit, factor in _SECONDS.items():
        count, rest = divmod(rest, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0"


def format_elapsed(seconds: float) -> str:
    """Return a measured time: `0.4 ms`, `53 ms`, `1.24 s`, `3 min 5 s`, `2 h 4 min`."""
    if seconds < 0.01:
        return f"{1e3 * seconds:.1f} ms"
    if seconds < 1:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_left(seconds: float) -> str:
    """Return an estimated time, as coarse as estimates are: `40 s`, `9 min`, `2 h 10 min`."""
    if seconds <= 50:
        return f"{10 * max(1, math.ceil(seconds / 10))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, tens = divmod(round(minutes / 10), 6)
    return f"{hours} h {10 * tens} min" if tens else f"{hours} h"


def format_clock(milliseconds: int, point: str = ".") -> str:
    """Return a place in a recording: `01:02:03.004`."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{rest:03}"


def parse_size(text: str) -> int:
    """Return `text` in bytes: `21 GiB` counts by 1024, `6.8 GB` by 1000.

    Raises:
        ValueError: For a number without a unit, or anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"{text!r} is not a size; write 21 GiB or 6.8 GB")
    base = 1024 if match[3] else 1000
    size = float(match[1]) * float(base ** _POWERS[match[2].upper()])
    if not math.isfinite(size):
        raise ValueError(f"{text!r} is not a size; write 21 GiB or 6.8 GB")
    return round(size)


def format_size(size: int, *, binary: bool = False) -> str:
    """Return `size` bytes with three significant digits: `6.8 GB`, or `6.33 GiB` by 1024.

    Files and downloads are counted by 1000, memory by 1024, as their makers do.
    """
    base, mark = (1024, "i") if binary else (1000, "")
    value, power = float(size), 0
    while round(value) >= base and power < len(_POWERS) - 1:
        value /= base
        power += 1
    if power == 0:
        return f"{size} B"
    unit = f"{list(_POWERS)[power]}{mark}B".replace("KB", "kB")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    number = f"{value:.{digits}f}"
    return f"{number.rstrip('0').rstrip('.') if digits else number} {unit}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 item` or `2,000 items`; the plural is the noun with an s unless it is given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
