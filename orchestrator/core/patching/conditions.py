"""Under which conditions a patch is needed: device, data type, versions of packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.manifest import Device, DType

DEVICE, DTYPE = "device", "dtype"

NAMES: dict[str, tuple[str, ...]] = {
    DEVICE: Device.__args__,  # type: ignore[attr-defined] # the names of a Literal
    DTYPE: DType.__args__,  # type: ignore[attr-defined]
}
"""The values of the two keys that are no packages."""


@dataclass(frozen=True)
class Conditions:
    """What a model will be loaded under.

    Attributes:
        device: "cpu", "cuda", "mps" or "mlx".
        dtype: "float32", "bfloat16", "float16", "8bit" or "4bit".
        versions: The installed version of each package, by normalised name.
    """

    device: str
    dtype: str
    versions: Mapping[str, str] = field(default_factory=dict)


def unmet(wanted: Mapping[str, str], conditions: Conditions) -> str | None:
    """Return the first of the conditions `wanted` that does not hold, in words, or None."""
    for key, value in wanted.items():
        if key in NAMES:
            has = getattr(conditions, key)
            if has not in value.split("|"):
                return f"{key} is {has}"
            continue
        version = conditions.versions.get(_normalised(key))
        if version is None:
            return f"{key} is not installed"
        if not _fits(version, value):
            return f"{key} is {version}"
    return None


def problem(key: str, value: str) -> str | None:
    """Return why a condition is not valid, or None."""
    if key in NAMES:
        unknown = [name for name in value.split("|") if name not in NAMES[key]]
        return f"{unknown[0]!r} is not one of {', '.join(NAMES[key])}" if unknown else None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        empty = not SpecifierSet(value)
    except InvalidSpecifier:
        empty = True
    return f"{value!r} is not a range of versions such as '>=4.48'" if empty else None


def _fits(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _normalised(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)
