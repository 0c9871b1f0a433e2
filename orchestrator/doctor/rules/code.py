"""One Python file of a model as the layers look at it: places, quotes, and what guards a place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.core.patching.misfit import Misfit
from orchestrator.core.patching.python_tree import Function, PythonFile
from orchestrator.core.patching.source_text import decode_python
from orchestrator.doctor.rules.records import Evidence, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Unreadable(Exception):
    """The file is no Python; `line` is where, from 1, or 0."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True)
class Code:
    """A parsed file of a model.

    Attributes:
        name: Its name inside the model's directory, with `/`.
        data: Its bytes.
        file: Its tree and text.
    """

    name: str
    data: bytes
    file: PythonFile

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return self.file.tree

    @property
    def nodes(self) -> list[ast.AST]:
        """Every node that is run when the file is imported or its functions are called."""
        return [node for node in self.file.nodes if id(node) not in self._main_only]

    def evidence(self, node: ast.expr | ast.stmt | ast.alias) -> Evidence:
        """Return the place of `node`, its first line quoted."""
        line = self.file.source.line(node.lineno)
        return Evidence(self.name, node.lineno, shortened(line))

    def text(self, node: ast.expr) -> str:
        """Return how `node` is written, on one line."""
        return ast.unparse(node)

    def function(self, node: ast.AST) -> str:
        """Return the dotted name of the function around `node`; empty at the module's level."""
        names: list[str] = []
        inside = False
        for above, _ in self.file.above(node):
            if isinstance(above, Function):
                inside = True
            if isinstance(above, Function | ast.ClassDef):
                names.append(above.name)
        return ".".join(reversed(names)) if inside else ""

    def owner(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the nearest class around `node`."""
        return next(
            (above for above, _ in self.file.above(node) if isinstance(above, ast.ClassDef)), None
        )

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes of the file by name."""
        return {node.name: node for node in self.file.nodes if isinstance(node, ast.ClassDef)}

    def bases(self, owner: ast.ClassDef) -> set[str]:
        """Return the last parts of the names of all bases, those of local classes followed."""
        found: set[str] = set()
        waiting = [owner]
        while waiting:
            for base in waiting.pop().bases:
                name = ast.unparse(base).rpartition(".")[2]
                if name not in found and (known := self.classes.get(name)) is not None:
                    waiting.append(known)
                found.add(name)
        return found

    def guarded(self, node: ast.AST, telling: Callable[[ast.expr], bool]) -> bool:
        """Say whether `node` is reached only after a test that `telling` knows, or inside a `try`.

        Args:
            node: The place.
            telling: Says of a test whether it asks for what the place needs.
        """
        child: ast.AST = node
        for above, through in self.file.above(node):
            if isinstance(above, ast.Try) and through == "body" and above.handlers:
                return True
            if isinstance(above, ast.If | ast.IfExp | ast.While):
                if through in ("body", "orelse") and telling(above.test):
                    return True
            elif isinstance(above, ast.BoolOp):
                before = _before(above, child)
                if any(telling(value) for value in before):
                    return True
            if isinstance(child, ast.stmt) and _left_before(above, through, child, telling):
                return True
            child = above
        return False

    @cached_property
    def _main_only(self) -> set[int]:
        """What stands below `if __name__ == "__main__":`, which no import runs."""
        found: set[int] = set()
        for node in self.tree.body:
            if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
                found |= {id(each) for part in node.body for each in ast.walk(part)}
        return found


def read_code(name: str, data: bytes) -> Code:
    """Return the parsed file.

    Raises:
        Unreadable: When it is no Python.
    """
    try:
        return Code(name, data, PythonFile.parse(decode_python(data)))
    except Misfit as misfit:
        raise Unreadable(misfit.found, misfit.line) from misfit


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of attributes that begins with a name, else an empty text."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield every identifier, attribute and text in `node`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _before(above: ast.BoolOp, child: ast.AST) -> list[ast.expr]:
    """Return the parts of `a and b and c` that are asked before `child`."""
    at = next((n for n, value in enumerate(above.values) if value is child), 0)
    return above.values[:at]


def _left_before(
    above: ast.AST, through: str, child: ast.stmt, telling: Callable[[ast.expr], bool]
) -> bool:
    """Say whether an earlier statement of the same block leaves it after such a test."""
    block = getattr(above, through, None)
    if not isinstance(block, list):
        return False
    for statement in block:
        if statement is child:
            return False
        leaves = isinstance(statement, ast.If) and isinstance(statement.body[-1], _LEAVES)
        if leaves and telling(statement.test):
            return True
        if isinstance(statement, ast.Assert) and telling(statement.test):
            return True
    return False
