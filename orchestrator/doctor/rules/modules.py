"""What a module of an installed package offers, read from its text alone.

Definitions, assignments and imports at its own level, whatever `if`, `try` or `with` they stand in;
and the names of transformers' lazy modules, which are texts in `_import_structure`, or, from 4.48
on, the `__all__` of every file below. What a module makes while it runs is not known from its text:
then an absent name is unknown, never missing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.doctor.rules.code import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCKS = ("body", "orelse", "finalbody", "handlers")
_DYNAMIC = frozenset({"globals", "exec", "setattr", "vars", "locals"})


@dataclass
class Offered:
    """What one module offers.

    Attributes:
        names: What it defines, assigns or imports, and the names of its lazy structure.
        stars: Modules whose names it takes over whole, with the dots before them.
        public: Its `__all__`, where it is plain text.
        lazy: Whether it stands for a lazy module of transformers.
        scanned: Whether its lazy structure is made from the files below its directory.
        dynamic: Whether it makes names while it runs in a way that its text does not tell.
    """

    names: set[str] = field(default_factory=set)
    stars: list[tuple[int, str]] = field(default_factory=list)
    public: set[str] = field(default_factory=set)
    lazy: bool = False
    scanned: bool = False
    dynamic: bool = False


def offered_by(text: str) -> Offered | None:
    """Return what the module in `text` offers; None where it cannot be parsed."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    offered = Offered()
    structures: set[str] = set()
    for statement in _statements(tree.body):
        _take(statement, offered, structures)
    return offered


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Yield the statements that run at the import of a module."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for block in _BLOCKS:
            inner = getattr(node, block, None)
            if isinstance(inner, list):
                yield from _statements(inner)


def _take(statement: ast.stmt, offered: Offered, structures: set[str]) -> None:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        offered.names.add(statement.name)
        offered.dynamic |= statement.name == "__getattr__"
        return
    if isinstance(statement, ast.Import):
        offered.names |= {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        return
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if alias.name == "*":
                offered.stars.append((statement.level, statement.module or ""))
            else:
                offered.names.add(alias.asname or alias.name)
        return
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        _take_assignment(statement, offered, structures)
    elif isinstance(statement, ast.For | ast.With):
        offered.names |= {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    if isinstance(statement, ast.Expr | ast.Assign | ast.For | ast.AugAssign):
        _take_calls(statement, offered, structures)


def _take_assignment(
    statement: ast.Assign | ast.AnnAssign | ast.AugAssign, offered: Offered, structures: set[str]
) -> None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                offered.names.add(node.id)
                if node.id == "__all__" and statement.value is not None:
                    offered.public |= set(_texts(statement.value))
                if node.id.endswith("import_structure") and statement.value is not None:
                    structures.add(node.id)
                    offered.names |= set(_texts(statement.value))
        # `_import_structure["models.llama"] = ["LlamaModel"]`
        inner = target.value if isinstance(target, ast.Subscript) else None
        if isinstance(inner, ast.Name) and inner.id in structures and statement.value is not None:
            offered.names |= set(_texts(statement.value))
        if dotted(inner or target) == "sys.modules" and statement.value is not None:
            # A lazy module of transformers in its own place; anything else is beyond its text.
            lazy = "_LazyModule" in ast.unparse(statement.value)
            offered.lazy |= lazy
            offered.dynamic |= not lazy


def _take_calls(statement: ast.stmt, offered: Offered, structures: set[str]) -> None:
    for node in ast.walk(statement):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name.rpartition(".")[2] == "define_import_structure":
            offered.lazy = offered.scanned = True
        if name in _DYNAMIC or name == "sys.modules.update":
            # transformers asks `globals()` for nothing but the file's own path.
            offered.dynamic |= not (name == "globals" and "__file__" in ast.unparse(statement))
        # `_import_structure["models.llama"].append("LlamaModel")`
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        while isinstance(receiver, ast.Subscript):
            receiver = receiver.value
        if isinstance(receiver, ast.Name) and receiver.id in structures:
            offered.names |= {text for argument in node.args for text in _texts(argument)}


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in a display; of the keys of a mapping their first parts, too."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
            if "." in each.value:
                yield each.value.partition(".")[0]
