"""Environment markers without what makes no difference."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SIMPLE = re.compile(
    r"(?:python_version|python_full_version|sys_platform|platform_machine|platform_system|os_name)"
    r" [<>=!~]+ '[^']*'"
)


def simplified_marker(marker: str, places: Iterable[Mapping[str, str]]) -> str:
    """Return `marker` without the conditions that make no difference on `places`."""
    from packaging.markers import Marker

    places = tuple(places)

    def truths(conditions: Iterable[str]) -> list[bool]:
        text = " and ".join(conditions)
        if not text:
            return [True] * len(places)
        parsed = Marker(text)
        return [parsed.evaluate(dict(place)) for place in places]

    conditions = _conjuncts(marker)
    wanted = truths(conditions)
    for condition in tuple(conditions):
        rest = [one for one in conditions if one is not condition]
        if not re.sub(r"[()\s]|\band\b|\bor\b", "", _SIMPLE.sub("", condition)) and (
            truths(rest) == wanted
        ):
            conditions = rest
    return " and ".join(conditions)


def _conjuncts(marker: str) -> list[str]:
    """Split a marker at the `and`s that are in no parentheses, unless an `or` is there as well."""
    parts, depth = [""], 0
    for piece in re.split(r"( and | or |[()])", marker):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth == 0 and piece == " or ":
            return [marker]
        if depth == 0 and piece == " and ":
            parts.append("")
        else:
            parts[-1] += piece
    return parts
