"""`sizes.json`: what the packages of a lock take on every platform, packed and unpacked.

It is measured with the lock, lies beside it, and names its digest, so that it is never believed
about another. It is a convenience: an environment whose sizes are not known is built as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec

from orchestrator.system.home import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SIZES = "sizes.json"
VERSION = 1


class WheelSize(NamedTuple):
    """Bytes of a wheel as it is fetched, and of its files on a disk."""

    download: Annotated[int, msgspec.Meta(ge=0)]
    disk: Annotated[int, msgspec.Meta(ge=0)]


class _SizesFile(msgspec.Struct, frozen=True):
    version: Literal[1]
    lock: str
    platforms: dict[str, dict[str, WheelSize]]


def load_sizes(lock: Path, digest: str, platform: str) -> Mapping[str, WheelSize]:
    """Return the sizes of a lock's packages on `platform`, by name; empty where unknown.

    Args:
        lock: The lock.
        digest: The SHA-256 of its text.
        platform: The manifest's name of a platform.
    """
    document = read_record(lock.with_name(SIZES), _SizesFile)
    if document is None or document.lock != digest:
        return {}
    return document.platforms.get(platform, {})


def total(sizes: Mapping[str, WheelSize], packages: Iterable[str]) -> WheelSize:
    """Return what `packages` come to; those of unknown size count nothing."""
    chosen = [sizes[name] for name in packages if name in sizes]
    return WheelSize(sum(one.download for one in chosen), sum(one.disk for one in chosen))
