"""Who asks for which package: the tree of a lock, and the chain to one of its packages.

Built from the `# via` comments that the resolver writes into a lock, so that neither an environment
nor a process is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.core.lockfile import MANIFEST, Pin


@dataclass(frozen=True)
class Branch:
    """One line of a tree: a package at a depth; `seen` when its own branches stand above."""

    pin: Pin
    depth: int
    seen: bool


def tree(pins: Iterable[Pin]) -> Iterator[Branch]:
    """Yield the packages beneath the manifest, depth first, each one's branches once."""
    by_name = {pin.name: pin for pin in pins}
    children: dict[str, list[Pin]] = {}
    for pin in by_name.values():
        for parent in pin.via or (MANIFEST,):
            children.setdefault(parent, []).append(pin)
    done: set[str] = set()
    pending = [(pin, 0) for pin in reversed(children.get(MANIFEST, []))]
    while pending:
        pin, depth = pending.pop()
        seen = pin.name in done and bool(children.get(pin.name))
        yield Branch(pin, depth, seen)
        if not seen:
            done.add(pin.name)
            pending += [(child, depth + 1) for child in reversed(children.get(pin.name, []))]


def chain(pins: Iterable[Pin], name: str) -> tuple[Pin, ...]:
    """Return the shortest chain of packages from the manifest to `name`, both ends included.

    Empty where `name` is not among `pins`.
    """
    by_name = {pin.name: pin for pin in pins}
    if name not in by_name:
        return ()
    paths: list[tuple[str, ...]] = [(name,)]
    met = {name}
    for path in paths:
        parents = by_name[path[0]].via
        if MANIFEST in parents or not parents:
            return tuple(by_name[one] for one in path)
        for parent in parents:
            if parent in by_name and parent not in met:
                met.add(parent)
                paths.append((parent, *path))
    return (by_name[name],)


@dataclass(frozen=True)
class Difference:
    """A package that two locks hold in different versions, with the chain to it in each."""

    name: str
    first: tuple[Pin, ...]
    second: tuple[Pin, ...]


def differences(first: Iterable[Pin], second: Iterable[Pin]) -> list[Difference]:
    """Return the packages that both hold, in different versions, by name."""
    firsts, seconds = list(first), list(second)
    versions = {pin.name: pin.version for pin in firsts}
    others = {pin.name: pin.version for pin in seconds}
    return [
        Difference(name, chain(firsts, name), chain(seconds, name))
        for name in sorted(versions.keys() & others.keys())
        if versions[name] != others[name]
    ]
