"""What a module of an installed package exports, read from its text alone.

Definitions, assignments and imports at its own level, whatever `if`, `try` or `with` they stand in;
and the names of transformers' lazy modules, which are texts in `_import_structure`, or, from 4.48
on, the `__all__` of every file below. What a module makes while it runs is not known from its text:
then an absent name is unknown, never missing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from orchestrator.doctor.rules.code import dotted

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_BLOCKS = ("body", "orelse", "finalbody", "handlers")
_DYNAMIC = frozenset({"globals", "exec", "setattr", "vars", "locals", "sys.modules.update"})


@dataclass
class Exports:
    """What one module exports.

    Attributes:
        names: What it defines, assigns or imports, and the names of its lazy structure.
        stars: Modules whose names it takes over whole, with the dots before them.
        public: Its `__all__`, where it is plain text.
        lazy: Whether it stands for a lazy module of transformers.
        scanned: Whether its lazy structure is made from the files below its directory.
        dynamic: Whether it makes names while it runs in a way that its text does not show.
    """

    names: set[str] = field(default_factory=set)
    stars: list[tuple[int, str]] = field(default_factory=list)
    public: set[str] = field(default_factory=set)
    lazy: bool = False
    scanned: bool = False
    dynamic: bool = False


def exports_of(text: str) -> Exports | None:
    """Return what the module in `text` exports; None where it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    exports = Exports()
    for statement in _statements(tree.body):
        _take(statement, exports)
    return exports


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements that run at the import of a module."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, _DEFINITIONS):
            for block in _BLOCKS:
                inner = getattr(node, block, None)
                if isinstance(inner, list):
                    yield from _statements(inner)


def _take(statement: ast.stmt, exports: Exports) -> None:
    if isinstance(statement, _DEFINITIONS):
        exports.names.add(statement.name)
        exports.dynamic |= statement.name == "__getattr__"
    elif isinstance(statement, ast.Import):
        exports.names |= {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if alias.name == "*":
                exports.stars.append((statement.level, statement.module or ""))
            else:
                exports.names.add(alias.asname or alias.name)
    elif isinstance(statement, _ASSIGNMENTS):
        _take_assignment(statement, exports)
    elif isinstance(statement, ast.For | ast.With):
        exports.names |= _stored(statement)
    if isinstance(statement, (ast.Expr, ast.For, *_ASSIGNMENTS)):
        _take_structure(statement, exports)


def _stored(node: ast.AST) -> set[str]:
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }


def _take_assignment(
    statement: ast.Assign | ast.AnnAssign | ast.AugAssign, exports: Exports
) -> None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        names = _stored(target)
        exports.names |= names
        if "__all__" in names and statement.value is not None:
            exports.public |= set(_texts(statement.value))
        inner = target.value if isinstance(target, ast.Subscript) else target
        if dotted(inner) == "sys.modules" and statement.value is not None:
            # A lazy module of transformers in its own place; anything else is beyond its text.
            lazy = "_LazyModule" in ast.unparse(statement.value)
            exports.lazy |= lazy
            exports.dynamic |= not lazy


def _take_structure(statement: ast.stmt, exports: Exports) -> None:
    """Take what a statement says of a lazy structure, or makes in a way that is not known."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id.endswith("import_structure"):
            # `_import_structure["models.llama"] = ["LlamaModel"]`, `….append("LlamaModel")`
            exports.names |= set(_texts(statement))
        name = dotted(node.func) if isinstance(node, ast.Call) else ""
        if name.rpartition(".")[2] == "define_import_structure":
            exports.lazy = exports.scanned = True
        if name in _DYNAMIC:
            # transformers asks `globals()` for nothing but the file's own path.
            exports.dynamic |= not (name == "globals" and "__file__" in ast.unparse(statement))


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in a display; of the keys of a mapping their first parts, too."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
            if "." in each.value:
                yield each.value.partition(".")[0]
