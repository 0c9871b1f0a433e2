"""A patch set as frozen records: guarded edits to a model's own code and configuration.

Made by `orchestrator.core.patching.reader` alone, which checks what types cannot say.
docs/patches.md describes the keys.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.core.canonical import digest


class PythonEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of edit to a Python file, found by its syntax tree and never by a line number."""

    function: str = ""
    """The function, as `Class.method`: where `prepend` and `append` write, and what `replace` is
    limited to."""
    prepend: str = ""
    """Statements for the head of the function's body, after its docstring."""
    append: str = ""
    """Statements for the end of the function's body."""
    rename: dict[str, str] = {}
    """Identifiers, wherever they stand in code."""
    replace: dict[str, str] = {}
    """Expressions; one that begins with `.` is the last link of a chain, and its receiver stays."""


class JsonEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Edits to a JSON file, by dotted path; a number stands for a position in a list."""

    set: dict[str, Any] = {}
    delete: tuple[str, ...] = ()


class TextEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Exact replacements in any text file."""

    replace: dict[str, str]


class Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One edit, and why it is made."""

    id: str
    why: str
    file: str
    """Relative to the model's directory, with `/`."""
    when: dict[str, str] = {}
    """`device`, `dtype` (names separated by `|`), or a package with a range of versions; all must
    hold."""
    python: PythonEdit | None = None
    json: JsonEdit | None = None
    text: TextEdit | None = None
    already: tuple[str, ...] = ()
    """Other ways in which the file may say what the edit would make it say."""
    expect: int | None = None
    """How many places there must be, edited now or before; None: at least one."""


class FileHashes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The SHA-256 of one file at a known commit."""

    before: str
    after: tuple[str, ...] = ()
    """As the set leaves it: one for each outcome of its conditions."""


class PatchSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All edits that one model's directory needs."""

    name: str
    patches: tuple[Patch, ...]
    proved: dict[str, str] = {}
    """The versions of packages for which the patched model was shown to give right answers."""
    commits: dict[str, dict[str, FileHashes]] = {}

    @property
    def digest(self) -> str:
        """The SHA-256 of what the set says, whatever its comments and layout."""
        return digest(msgspec.to_builtins(self))
