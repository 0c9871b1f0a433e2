"""One value on a page: text, data, an image, a player, or the name of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.core.units import format_size
from orchestrator.pipelines.report.html import Markup, tag
from orchestrator.pipelines.report.words import count

if TYPE_CHECKING:
    from orchestrator.pipelines.report.media import Media
    from orchestrator.pipelines.values import Value

MOST = 6_000
"""Characters of a text that a page shows."""


def shown(name: str, value: Value, media: Media, sound: int | None = None) -> Markup:
    """Return a value as HTML.

    Args:
        name: What the output or input is called.
        value: The value.
        media: What room there is for images and sounds.
        sound: Bytes that a sound may take at most; by default all that is left.
    """
    if value.file is None:
        return _data(name, value)
    if value.type == "image":
        return media.image(value.file, value.label or name)
    if value.type == "audio":
        return media.sound(value.file, value.label or name, sound)
    try:
        size = format_size(value.file.stat().st_size)
    except OSError as error:
        size = f"gone ({error.strerror})"
    return tag("p", f"{name}, {size}: ", tag("code", str(value.file)), class_="absent")


def _data(name: str, value: Value) -> Markup:
    data = value.data
    if isinstance(data, str):
        return words(data) if "\n" in data or len(data) > 60 else _short(name, data)
    if isinstance(data, (int, float, bool)) or data is None:
        return _short(name, json.dumps(data))
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return tag("details", tag("summary", f"{name}: {_about(data)}"), _cut(text, "data"))


def words(text: str) -> Markup:
    """Return a text that a model or a user has written."""
    return _cut(text, "words")


def _short(name: str, text: str) -> Markup:
    return tag("p", tag("span", f"{name}: ", class_="soft"), tag("bdi", text))


def _cut(text: str, kind: str) -> Markup:
    more = len(text) - MOST
    told = f"\n… {count(more, 'character')} more" if more > 0 else ""
    return tag("pre", text[:MOST], tag("em", told) if told else None, class_=kind, dir="auto")


def _about(data: object) -> str:
    if isinstance(data, list):
        return f"{len(data):,} {'entry' if len(data) == 1 else 'entries'}"
    return count(len(data), "key") if isinstance(data, dict) else type(data).__name__
