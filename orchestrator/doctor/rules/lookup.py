"""Whether installed packages offer a name: yes, no, or not known from their text."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchestrator.doctor.rules.modules import Offered, offered_by

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_STEPS = 400
"""Modules that are read for one name, over all star imports."""


class Answer(enum.Enum):
    """What the text of the packages says."""

    OFFERED = "offered"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Source(NamedTuple):
    """A module's text.

    Attributes:
        text: None where the module has none that can be read: compiled, or a mere directory.
        package: Whether it is a package, so that its dots count from itself.
    """

    text: str | None
    package: bool


class Packages(Protocol):
    """The packages of one environment, as files."""

    def source(self, module: str) -> Source | None:
        """Return a module's text, or None where there is no such module."""

    def publishing(self, module: str, name: str) -> bool:
        """Say whether the `__all__` of a file below the package `module` has `name`."""


class Lookup:
    """Looks names up in the packages of one environment; each module is read once.

    Args:
        packages: The packages.
    """

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._offered: dict[str, Offered | None] = {}

    def find(self, module: str, name: str) -> Answer:
        """Say whether `from module import name` would find the name, an empty one for the module.

        Everything that is not certain is UNKNOWN.
        """
        return self._find(module, name, set(), public=False)

    def _find(self, module: str, name: str, seen: set[str], *, public: bool) -> Answer:
        if module in seen or len(seen) > MAX_STEPS:
            return Answer.MISSING if module in seen else Answer.UNKNOWN
        seen.add(module)
        source = self._packages.source(module)
        if source is None:
            return self._parent_answer(module)
        if not name:
            return Answer.OFFERED
        if source.package and self._packages.source(f"{module}.{name}") is not None:
            return Answer.OFFERED
        offered = self._read(module, source)
        if offered is None:
            return Answer.UNKNOWN
        if name in offered.names and not (public and offered.public and name not in offered.public):
            return Answer.OFFERED
        if offered.scanned and self._packages.publishing(module, name):
            return Answer.OFFERED
        answers = {
            self._find(
                absolute(module, level, star, package=source.package), name, seen, public=True
            )
            for level, star in self._stars(offered)
        }
        if Answer.OFFERED in answers:
            return Answer.OFFERED
        # A lazy module is an object with private members of its own.
        private = offered.lazy and name.startswith("_")
        if Answer.UNKNOWN in answers or offered.dynamic or private:
            return Answer.UNKNOWN
        return Answer.MISSING

    def _stars(self, offered: Offered) -> Iterable[tuple[int, str]]:
        # Below a structure that is made from files, the stars say the same a second time.
        return () if offered.scanned else offered.stars

    def _read(self, module: str, source: Source) -> Offered | None:
        if module not in self._offered:
            text = source.text
            self._offered[module] = offered_by(text) if text is not None else None
        return self._offered[module]

    def _parent_answer(self, module: str) -> Answer:
        """Say of a module without a file whether its package may make it while it runs."""
        parent, _, last = module.rpartition(".")
        if not parent:
            return Answer.MISSING
        source = self._packages.source(parent)
        if source is None:
            return self._parent_answer(parent)
        offered = self._read(parent, source)
        known = offered is not None and not offered.dynamic and last not in offered.names
        return Answer.MISSING if known else Answer.UNKNOWN


def absolute(module: str, level: int, name: str, *, package: bool) -> str:
    """Return the full name of what `module` imports as `name` with `level` dots before it."""
    if level == 0:
        return name
    parts = module.split(".")
    drop = level - 1 if package else level
    base = parts[: len(parts) - drop] if drop else parts
    return ".".join([*base, *([name] if name else [])])
