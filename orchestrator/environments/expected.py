"""What building environments will fetch and take: measured with the lock, said before the build.

`sizes.json` lies beside a lock and names its digest, so that it is never believed about another.
It is a convenience: an environment whose sizes are not known is built as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.home import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SIZES = "sizes.json"
VERSION = 1


class WheelSize(NamedTuple):
    """Bytes of a wheel as it is fetched, and of its files on a disk."""

    download: int
    disk: int


def load_sizes(lock: Path, digest: str, platform: str) -> Mapping[str, WheelSize]:
    """Return the sizes of a lock's packages on `platform`, by name; empty where unknown.

    Args:
        lock: The lock.
        digest: The SHA-256 of its text.
        platform: The manifest's name of a platform.
    """
    document = read_json(lock.with_name(SIZES))
    if not isinstance(document, dict) or document.get("version") != VERSION:
        return {}
    platforms = document.get("platforms")
    if document.get("lock") != digest or not isinstance(platforms, dict):
        return {}
    found = platforms.get(platform)
    if not isinstance(found, dict) or not all(map(_is_size, found.values())):
        return {}
    return {name: WheelSize(*size) for name, size in found.items()}


def total(sizes: Mapping[str, WheelSize], packages: Iterable[str]) -> WheelSize:
    """Return what `packages` come to; those of unknown size count nothing."""
    chosen = [sizes[name] for name in packages if name in sizes]
    return WheelSize(sum(one.download for one in chosen), sum(one.disk for one in chosen))


def _is_size(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(WheelSize._fields)
        and all(isinstance(each, int) and each >= 0 for each in value)
    )
