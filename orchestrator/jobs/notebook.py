"""How notebooks show a result: images, sound and tables as HTML that needs nothing else.

Everything that comes from a model is escaped, and what is too large is named instead of shown.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.jobs.results import Artifact, Audio, Result, short

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
"""What every browser draws, and none executes."""

SOUNDS = frozenset({"audio/wav", "audio/flac", "audio/mpeg", "audio/ogg"})

MAX_BYTES = 8 << 20
"""Of a file: it becomes a part of the notebook."""

MAX_CHARACTERS, MAX_ROWS, MAX_COLUMNS = 10_000, 50, 20


def html(value: Any) -> str:
    """Return what stands for a result, or for one of its outputs."""
    if isinstance(value, Result):
        parts = (f"<dt>{escape(name)}</dt><dd>{html(each)}</dd>" for name, each in value.items())
        return f"<dl>{''.join(parts)}</dl>"
    if isinstance(value, (Artifact, Audio)):
        return _media(value)
    if isinstance(value, str):
        more = len(value) - MAX_CHARACTERS
        rest = f"\n… {more:,} characters more" if more > 0 else ""
        return f"<pre>{escape(value[:MAX_CHARACTERS])}{rest}</pre>"
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return _table(value)
    return f"<code>{escape(short(value))}</code>"


def _media(value: Artifact | Audio) -> str:
    kind = value.media_type
    form = '<img style="max-width: 100%" src="{}">' if kind in IMAGES else ""
    form = '<audio controls src="{}"></audio>' if kind in SOUNDS else form
    try:
        if form and _size(value) <= MAX_BYTES:
            return form.format(f"data:{kind};base64,{b64encode(value.read()).decode('ascii')}")
    except (OSError, UsageError) as error:
        return f"<code>{escape(str(error))}</code>"
    return f"<code>{escape(repr(value))}</code>"


def _size(value: Artifact | Audio) -> int:
    if isinstance(value, Audio):
        return 2 * value.raw.shape[0] * value.channels
    return value.path.stat().st_size


def _table(rows: list[Mapping[str, Any]]) -> str:
    """Return rows as a table, its columns in the order in which they come."""
    columns = list(dict.fromkeys(name for row in rows[:MAX_ROWS] for name in row))[:MAX_COLUMNS]
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(row.get(name))}</td>' for name in columns)}</tr>"
        for row in rows[:MAX_ROWS]
    )
    more = len(rows) - MAX_ROWS
    rest = f"<caption>{more:,} rows more</caption>" if more > 0 else ""
    return f"<table>{rest}<tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return escape("" if value is None else value[:100] if isinstance(value, str) else short(value))
