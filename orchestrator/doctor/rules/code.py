"""One Python file of a model: its nodes, what guards them, and what is in reach of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from orchestrator.core.patching.python_tree import Function, PythonFile
from orchestrator.core.patching.source_text import decode_python
from orchestrator.doctor.rules.findings import Evidence, shortened

Test = Callable[[ast.expr], bool]
"""Says of the condition of an `if` whether it asks for what a place needs."""

DEVICES = ("cuda", "gpu", "cpu", "mps", "parallel")
"""Parts of the names in conditions that ask which devices there are."""

_Node = TypeVar("_Node", bound=ast.AST)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_PRETRAINED = re.compile(r"PreTrainedModel$|For[A-Z]\w+$|Model$")
_MODULE = re.compile(r"Module$|ModuleList$|Sequential$")


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

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node that runs when the file is imported or its functions are called."""
        main = {
            id(each)
            for node in self.file.tree.body
            if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            for part in node.body
            for each in ast.walk(part)
        }
        return [node for node in self.file.nodes if id(node) not in main]

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes of the file by name."""
        return {node.name: node for node in self.file.nodes if isinstance(node, ast.ClassDef)}

    def evidence(self, node: ast.expr | ast.stmt | ast.alias) -> Evidence:
        """Return the place of `node`, its first line quoted."""
        return Evidence(self.name, node.lineno, shortened(self.file.source.line(node.lineno)))

    def function(self, node: ast.AST) -> str:
        """Return the dotted name of the function around `node`; empty at the module's level."""
        above = [each for each, _ in self.file.above(node)]
        if not any(isinstance(each, Function) for each in above):
            return ""
        named = [each.name for each in above if isinstance(each, Function | ast.ClassDef)]
        return ".".join(reversed(named))

    def model_attribute(self, node: ast.AST, name: str) -> str:
        """Return the expression for the model's `device` or `dtype` at `node`, or nothing.

        In a method of a transformers model that is an attribute, in one of any other torch module
        the attribute of its first parameter; where there is no `self`, it is not known.
        """
        owner = next((up for up, _ in self.file.above(node) if isinstance(up, ast.ClassDef)), None)
        if owner is None or not self.file.has_self(node):
            return ""
        bases = self._bases(owner)
        if any(_PRETRAINED.search(base) for base in bases - self.classes.keys()):
            return f"self.{name}"
        if any(_MODULE.search(base) for base in bases):
            return f"next(self.parameters()).{name}"
        return ""

    @cached_property
    def asks_for_device(self) -> Test:
        """Says of a condition whether it asks which devices there are, directly or by a flag."""
        assignments = [node for node in self.file.nodes if isinstance(node, ast.Assign)]
        flags = {
            target.id
            for node in assignments
            if _names_a_device(node.value) and not _moves(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        # Optional kernels are imported in one case and None in the other.
        imported = {
            alias.asname or alias.name
            for node in self.file.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        flags |= {
            each.id
            for node in assignments
            if "None" in ast.unparse(node.value)
            for target in node.targets
            for each in ast.walk(target)
            if isinstance(each, ast.Name) and each.id in imported
        }
        return lambda test: _names_a_device(test, flags)

    def _bases(self, owner: ast.ClassDef) -> set[str]:
        """Return the last parts of the names of all bases, those of local classes followed."""
        found: set[str] = set()
        pending = [owner]
        while pending:
            for base in pending.pop().bases:
                name = ast.unparse(base).rpartition(".")[2]
                if name not in found and name in self.classes:
                    pending.append(self.classes[name])
                found.add(name)
        return found

    def guarded(self, node: ast.AST, test: Test) -> bool:
        """Say whether `node` is reached only after such a test, or stands in a `try`."""
        child = node
        for above, field in self.file.above(node):
            if isinstance(above, ast.Try) and field == "body" and above.handlers:
                return True
            if isinstance(above, ast.If | ast.IfExp | ast.While):
                if field in ("body", "orelse") and test(above.test):
                    return True
            elif isinstance(above, ast.BoolOp) and any(map(test, _until(above.values, child))):
                return True  # the parts of `a and b and c` before this one are evaluated first
            if isinstance(child, ast.stmt) and left_before(getattr(above, field), child, test):
                return True
            child = above
        return False


def read_code(name: str, data: bytes) -> Code:
    """Return the parsed file.

    Raises:
        PatchConflict: When it is no Python.
    """
    return Code(name, data, PythonFile.parse(decode_python(data)))


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


def _names_a_device(node: ast.expr, flags: Collection[str] = ()) -> bool:
    return any(
        name in flags or any(device in name.lower() for device in DEVICES)
        for name in names_in(node)
    )


def _moves(node: ast.expr) -> bool:
    """Say whether a value is a tensor or module that is sent somewhere, which is no flag."""
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in ("cuda", "cpu", "to")
        for each in ast.walk(node)
    )


def _until(nodes: Iterable[_Node], child: ast.AST) -> Iterator[_Node]:
    for node in nodes:
        if node is child:
            return
        yield node


def left_before(block: object, child: ast.stmt, test: Test, *, asserts: bool = True) -> bool:
    """Say whether an earlier statement of the same block leaves it after such a condition.

    Args:
        block: The statements.
        child: One of them.
        test: Says of a condition whether it is such a one.
        asserts: Whether an `assert` of the condition counts as well.
    """
    if not isinstance(block, list):
        return False
    return any(
        test(statement.test)
        for statement in _until(block, child)
        if (asserts and isinstance(statement, ast.Assert))
        or (isinstance(statement, ast.If) and isinstance(statement.body[-1], _LEAVES))
    )
