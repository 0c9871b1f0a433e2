"""The order of steps: which must come before which, and whether any wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def ordered(before: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names so that each stands after all that it needs, otherwise in the given order.

    Args:
        before: For each name the names that it needs; names that are no keys are passed over.

    Raises:
        ValueError: When some wait for each other; call `cycle` to know which.
    """
    left = {name: {need for need in needs if need in before} for name, needs in before.items()}
    order: list[str] = []
    while left:
        name = next((name for name, needs in left.items() if not needs), None)
        if name is None:
            raise ValueError("a cycle")
        del left[name]
        for needs in left.values():
            needs.discard(name)
        order.append(name)
    return order


def cycle(before: Mapping[str, Collection[str]]) -> list[str]:
    """Return names of which each needs the next and the last needs the first; empty if none do."""
    done: set[str] = set()
    for start in before:
        path: list[str] = []
        here: dict[str, int] = {}
        stack = [(start, iter(sorted(before[start])))] if start not in done else []
        while stack:
            name, needs = stack[-1]
            if name not in here:
                here[name] = len(path)
                path.append(name)
            following = next((need for need in needs if need in before), None)
            if following is None:
                stack.pop()
                path.pop()
                del here[name]
                done.add(name)
            elif following in here:
                return path[here[following] :]
            elif following not in done:
                stack.append((following, iter(sorted(before[following]))))
    return []
