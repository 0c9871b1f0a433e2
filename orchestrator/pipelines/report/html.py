"""HTML from parts, each escaped once: what is no `Markup` is text, whoever wrote it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias

_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that HTML does not allow, or that no page can hold (half of a surrogate pair)."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Part: TypeAlias = "Markup | str | int | float | Iterable[Part] | None"
"""What stands in an element: HTML, text, a number, nothing, or several of them."""

_ALONE = frozenset({"img", "meta", "br"})
"""Elements that have no end (`audio` has one)."""


def text(words: str) -> Markup:
    """Return text as HTML; a character that cannot stand in a page becomes U+FFFD."""
    return Markup(html.escape(_UNSHOWN.sub("\ufffd", words), quote=True))


def join(*parts: Part) -> Markup:
    """Return parts one after the other."""
    return Markup("".join(_flat(parts)))


Attribute: TypeAlias = str | float | bool | None


def tag(name: str, /, *parts: Part, **attributes: Attribute) -> Markup:
    """Return an element.

    Args:
        name: Its name.
        *parts: What stands in it.
        **attributes: Its attributes; `class_` is `class`, `_` else becomes `-`. Those that are
            None or False are left out, those that are True have no value.
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _ALONE:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(*parts)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = "class" if key == "class_" else key.replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    # SVG keeps the case of its attributes; so do we.
    return f' {name}="{text(str(value))}"'


def _flat(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        if part is None:
            continue
        if isinstance(part, Markup):
            yield part
        elif isinstance(part, (str, int, float)):
            yield text(str(part))
        else:
            yield from _flat(part)
