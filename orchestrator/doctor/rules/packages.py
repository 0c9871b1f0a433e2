"""Whether the packages of an environment have a name: yes, no, or not known from their text."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.doctor.rules.exports import Exports, exports_of

TRANSFORMERS = "transformers"
"""The package that models' own code is written against."""

MAX_STEPS = 400
"""Modules that are read for one name, over all star imports."""


class Answer(enum.Enum):
    """What the text of the packages says."""

    OFFERED = "offered"
    MISSING = "missing"
    UNKNOWN = "unknown"


class ModuleSource(NamedTuple):
    """A module's text.

    Attributes:
        text: None where the module has none that can be read: compiled, or a mere directory.
        package: Whether it is a package, so that its dots count from itself.
    """

    text: str | None
    package: bool


@dataclass(frozen=True)
class Packages:
    """The packages of one environment that is built; each module is read once.

    Attributes:
        label: What people call the environment.
        versions: The version of each package by normalised name.
        source: Returns a module's text, or None where there is no such module.
        publishes: Says whether the `__all__` of a file below a package has a name.
    """

    label: str
    versions: Mapping[str, str]
    source: Callable[[str], ModuleSource | None]
    publishes: Callable[[str, str], bool]
    _exports: dict[str, Exports | None] = field(default_factory=dict, repr=False)

    @property
    def transformers(self) -> str:
        """The version of transformers, or nothing."""
        return self.versions.get(TRANSFORMERS, "")

    def text(self, module: str) -> str | None:
        """Return a module's text, or None where there is none."""
        source = self.source(module)
        return source.text if source is not None else None

    def find(self, module: str, name: str) -> Answer:
        """Say whether `from module import name` would find the name, an empty one for the module.

        Everything that is not certain is UNKNOWN.
        """
        return self._find(module, name, set(), public=False)

    def _find(self, module: str, name: str, seen: set[str], *, public: bool) -> Answer:
        if module in seen or len(seen) > MAX_STEPS:
            return Answer.MISSING if module in seen else Answer.UNKNOWN
        seen.add(module)
        source = self.source(module)
        if source is None:
            return self._parent_answer(module)
        if not name or (source.package and self.source(f"{module}.{name}") is not None):
            return Answer.OFFERED
        exports = self._read(module, source)
        if exports is None:
            return Answer.UNKNOWN
        if name in exports.names and not (public and exports.public and name not in exports.public):
            return Answer.OFFERED
        if exports.scanned and self.publishes(module, name):
            return Answer.OFFERED
        # Below a structure that is made from files, the stars say the same a second time.
        stars = [] if exports.scanned else exports.stars
        answers = {
            self._find(
                absolute(module, level, star, package=source.package), name, seen, public=True
            )
            for level, star in stars
        }
        if Answer.OFFERED in answers:
            return Answer.OFFERED
        # A lazy module is an object with private members of its own.
        private = exports.lazy and name.startswith("_")
        unknown = Answer.UNKNOWN in answers or exports.dynamic or private
        return Answer.UNKNOWN if unknown else Answer.MISSING

    def _read(self, module: str, source: ModuleSource) -> Exports | None:
        if module not in self._exports:
            self._exports[module] = exports_of(source.text) if source.text is not None else None
        return self._exports[module]

    def _parent_answer(self, module: str) -> Answer:
        """Say of a module without a file whether its package may make it while it runs."""
        parent, _, last = module.rpartition(".")
        if not parent:
            return Answer.MISSING
        source = self.source(parent)
        if source is None:
            return self._parent_answer(parent)
        exports = self._read(parent, source)
        known = exports is not None and not exports.dynamic and last not in exports.names
        return Answer.MISSING if known else Answer.UNKNOWN


def absolute(module: str, level: int, name: str, *, package: bool) -> str:
    """Return the full name of what `module` imports as `name` with `level` dots before it."""
    if level == 0:
        return name
    parts = module.split(".")
    drop = level - 1 if package else level
    base = parts[: len(parts) - drop] if drop else parts
    return ".".join([*base, *([name] if name else [])])
