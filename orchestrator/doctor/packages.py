"""The packages of an environment as files on disk; nothing of them is imported or run."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.lookup import Lookup, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_SOURCE = 8 << 20
"""Bytes of a module that is read."""

_PART = re.compile(r"[A-Za-z_]\w*")
_DIGITS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class SitePackages:
    """The packages below one `site-packages`.

    Attributes:
        directory: That directory.
    """

    directory: Path
    _listed: dict[str, list[Path]] = field(default_factory=dict, repr=False)

    def source(self, module: str) -> Source | None:
        """Return a module's text, or None where there is no such module."""
        parts = module.split(".")
        if not all(_PART.fullmatch(part) for part in parts):
            return None
        path = self.directory.joinpath(*parts)
        if path.is_dir():
            init = path / "__init__.py"
            if init.is_file():
                return Source(_text(init), package=True)
            return Source(None, package=True)
        single = path.with_name(f"{path.name}.py")
        if single.is_file():
            return Source(_text(single), package=False)
        if any(path.parent.glob(f"{path.name}.*.so")) or path.with_suffix(".so").is_file():
            return Source(None, package=False)
        return None

    def publishing(self, module: str, name: str) -> bool:
        """Say whether the `__all__` of a file below the package `module` has `name`."""
        wanted = (f'"{name}"'.encode(), f"'{name}'".encode())
        for path in self._near_first(module, name):
            data = _bytes(path)
            if any(each in data for each in wanted) and name in _public(data):
                return True
        return False

    def _near_first(self, module: str, name: str) -> Iterator[Path]:
        """Yield the files below a package, those first whose folder the name begins with."""
        if module not in self._listed:
            root = self.directory.joinpath(*module.split("."))
            root = root / "models" if (root / "models").is_dir() else root
            self._listed[module] = [
                Path(base, file)
                for base, _, files in os.walk(root)
                for file in files
                if file.endswith(".py")
            ]
        start = name.lower()

        def distance(path: Path) -> tuple[bool, int]:
            folder = _DIGITS.sub("", path.parent.name.lower())
            return (not start.startswith(folder), -len(folder))

        yield from sorted(self._listed[module], key=distance)


@dataclass(frozen=True)
class Installation:
    """An environment to look names up in.

    Attributes:
        label: What people call it.
        versions: The version of each package by normalised name.
        site: Its packages; None where it is not built.
    """

    label: str
    versions: Mapping[str, str]
    site: SitePackages | None

    @property
    def lookup(self) -> Lookup | None:
        """A lookup in its packages; None where it is not built."""
        return Lookup(self.site) if self.site is not None else None


def _public(data: bytes) -> set[str]:
    """Return the texts of `__all__` in a module, and the names that it exports by decorators."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign)
            found |= {
                each.value
                for each in ast.walk(node.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            }
    return found


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_SOURCE)
    except OSError:
        return b""
