"""The packages of an environment as files on disk; nothing of them is imported or run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.doctor.rules.exports import exports_of
from orchestrator.doctor.rules.packages import ModuleSource, Packages
from orchestrator.system.files import open_file

MAX_SOURCE = 8 << 20
"""Bytes of a module that is read."""

_PART = re.compile(r"[A-Za-z_]\w*")
_DIGITS = re.compile(r"[^a-z0-9]+")


def packages_of(label: str, versions: Mapping[str, str], directory: Path) -> Packages:
    """Return the packages of an environment, to look names up in.

    Args:
        label: What people call the environment.
        versions: The version of each package by normalised name.
        directory: Its `site-packages`.
    """
    site = SitePackages(directory)
    return Packages(label, versions, site.source, site.publishes)


@dataclass(frozen=True)
class SitePackages:
    """The modules below one `site-packages`."""

    directory: Path
    _listed: dict[str, list[Path]] = field(default_factory=dict, repr=False)

    def source(self, module: str) -> ModuleSource | None:
        """Return a module's text, or None where there is no such module."""
        parts = module.split(".")
        if not all(_PART.fullmatch(part) for part in parts):
            return None
        path = self.directory.joinpath(*parts)
        if path.is_dir():
            init = path / "__init__.py"
            return ModuleSource(_text(init) if init.is_file() else None, package=True)
        single = path.with_name(f"{path.name}.py")
        if single.is_file():
            return ModuleSource(_text(single), package=False)
        if any(path.parent.glob(f"{path.name}.*.so")) or path.with_suffix(".so").is_file():
            return ModuleSource(None, package=False)
        return None

    def publishes(self, package: str, name: str) -> bool:
        """Say whether the `__all__` of a file below a package has `name`."""
        quoted = (f'"{name}"', f"'{name}'")
        for path in self._near_first(package, name):
            text = _text(path)
            if any(each in text for each in quoted):
                exports = exports_of(text)
                if exports is not None and name in exports.public:
                    return True
        return False

    def _near_first(self, package: str, name: str) -> Iterator[Path]:
        """Yield the files below a package, those first whose folder the name begins with."""
        if package not in self._listed:
            root = self.directory.joinpath(*package.split("."))
            root = root / "models" if (root / "models").is_dir() else root
            self._listed[package] = [
                Path(base, file)
                for base, _, files in os.walk(root)
                for file in files
                if file.endswith(".py")
            ]
        start = name.lower()

        def distance(path: Path) -> tuple[bool, int]:
            folder = _DIGITS.sub("", path.parent.name.lower())
            return (not start.startswith(folder), -len(folder))

        yield from sorted(self._listed[package], key=distance)


def _text(path: Path) -> str:
    try:
        with open_file(path) as stream:
            return stream.read(MAX_SOURCE).decode("utf-8", "replace")
    except OSError:
        return ""
