"""Room for environments on the disk: said before they are built, and refused where it lacks."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from orchestrator.core.lockfile import requirements_text
from orchestrator.core.units import format_size
from orchestrator.environments.expected import total
from orchestrator.environments.resolver import Resolver, scratch
from orchestrator.errors import EnvironmentFailure
from orchestrator.processes import ProcessError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orchestrator.core.lockfile import Pin
    from orchestrator.environments.build import Order
    from orchestrator.environments.expected import WheelSize
    from orchestrator.reporting import Reporter

MARGIN = 64 << 20
"""Bytes that stay free: bytecode, and what else writes meanwhile."""

_UNCACHED = re.compile(r"Identified uncached distribution: (\S+)==", re.ASCII)


def free_space(directory: Path) -> int:
    """Return the bytes that are free where `directory` lies, or would lie."""
    there = next(each for each in (directory, *directory.parents) if each.exists())
    return shutil.disk_usage(there).free


def announce(orders: Sequence[Order], reporter: Reporter) -> None:
    """Say what building each of `orders` may fetch and take, where it is known."""
    for order in orders:
        if order.sizes:
            size = total(order.sizes, order.packages)
            reporter.note(
                f"building the environment of {order.model}: {len(order.pins)} packages, "
                f"up to {format_size(size.download)} to download, {format_size(size.disk)} on disk"
            )


def check_room(
    orders: Sequence[Order],
    directory: Path,
    missing: Callable[[Order], frozenset[str] | None],
    free: Callable[[Path], int] = free_space,
) -> None:
    """Refuse to build what the disk cannot hold.

    Args:
        orders: What is to be built.
        directory: Where environments are built.
        missing: Says which packages of an order are not unpacked on that disk already; None when
            that cannot be known, and then the disk is not judged. Asked only when room is short.
        free: Says how many bytes are free; a port for tests.

    Raises:
        EnvironmentFailure: When it is too small, with the figures.
    """
    there = free(directory)
    room = there - MARGIN
    whole = _together(orders, lambda order: frozenset(order.packages))
    if whole <= room or not whole:  # it fits, or nothing is known of it
        return
    absent = {order.digest: missing(order) for order in orders}
    needed = _together(orders, lambda order: absent[order.digest] or frozenset())
    if needed <= room or not needed or None in absent.values():
        return
    names = ", ".join(order.model for order in orders)
    raise EnvironmentFailure(
        f"building {names} takes {format_size(needed)}, and the disk has {format_size(there)} free",
        where=str(directory),
        fix="free some space (mm env prune), or set MM_HOME to a larger disk",
    )


def uncached(resolver: Resolver, order: Order, *, offline: bool) -> frozenset[str] | None:
    """Return the packages of `order` that uv's cache lacks, or None when uv cannot tell."""
    with scratch() as folder:
        text = requirements_text(_plain(order))
        (folder / "requirements.txt").write_text(text, encoding="utf-8")
        arguments = [
            "install", "--requirements", "requirements.txt", "--dry-run", "--verbose", "--no-deps",
            "--require-hashes", "--only-binary", ":all:", "--target", str(folder / "nothing"),
            *(["--offline"] if offline else []),
        ]  # fmt: skip
        try:
            said = resolver.run(arguments, hashed=True, cwd=folder).stderr
        except ProcessError:
            return None  # the build will say why, in uv's own words
    if "Would download" not in said:
        return frozenset()
    return frozenset(_UNCACHED.findall(said)) or frozenset(order.packages)


def _plain(order: Order) -> list[Pin]:
    return [pin for pin in order.pins if pin.name not in order.build]


def _together(orders: Sequence[Order], packages: Callable[[Order], frozenset[str]]) -> int:
    """Return the bytes on disk of the chosen packages; one that several share counts once."""
    chosen: dict[tuple[str, str], WheelSize] = {}
    for order in orders:
        versions = order.packages
        for name in packages(order) & order.sizes.keys():
            chosen[name, versions[name]] = order.sizes[name]
    return sum(size.disk for size in chosen.values())
