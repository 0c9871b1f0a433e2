"""Statements put at the head or the end of a function: where they go, and how they are laid out.

Nothing is guessed: after the splices the file is parsed again, and its tree must be the old one
with exactly these statements more.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Sequence

from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.python_tree import (
    Function,
    PythonFile,
    count_spelled,
    equal,
    equal_fields,
    first_line,
    parse_tree,
    prove,
    takes_self,
    uses_self,
)
from orchestrator.core.patching.source_text import EditResult, SourceText, Splice


def insert(
    source: SourceText,
    function: str,
    code: str,
    *,
    at_end: bool,
    already: Sequence[str] = (),
    companions: Collection[str] = (),
) -> EditResult:
    """Put the statements `code` at the head or the end of the body of each function so called.

    Args:
        source: The file.
        function: Its dotted name.
        code: One or more statements.
        at_end: Whether they go to the end; else to the head, after the docstring.
        already: Other code whose presence in the function means that nothing is missing.
        companions: Trees (`statements_dump`) that other patches of the set put at the same place;
            statements of theirs may stand before these.

    Raises:
        PatchConflict: When the file cannot be parsed, there is no such function, or `self` is not
            known in it.
    """
    file = PythonFile.parse(source)
    wanted = parse_tree(code).body
    looked_for = f"the function {function}"
    functions = file.functions(function)
    if not functions:
        raise PatchConflict("there is no such function", looked_for)
    splices: list[Splice] = []
    missing: list[Function] = []
    for each in functions:
        if _is_there(each, wanted, companions, at_end=at_end) or count_spelled(
            file, already, [each]
        ):
            continue
        if uses_self(wanted) and not (takes_self(each) or file.has_self(each)):
            raise PatchConflict(
                "the function has no self, which the edit needs", looked_for, each.lineno
            )
        missing.append(each)
        place = _append if at_end else _prepend
        splices.append(place(file, each, code))
    there = len(functions) - len(missing)
    result = source.spliced(splices)
    if missing:

        def inserted(node: ast.AST, found: object) -> bool | None:
            if node not in missing:
                return None
            body = list(node.body)
            position = len(body) if at_end else _head(body)
            body[position:position] = wanted
            return equal_fields(node, found, inserted, but="body") and equal(
                body, getattr(found, "body", None), inserted
            )

        prove(file.tree, result, looked_for, inserted)
    return EditResult(len(missing), there, result, looked_for)


def statements_dump(code: str) -> str:
    """Return what statements say, whatever their layout.

    Raises:
        PatchConflict: When they are none.
    """
    return "\n".join(map(ast.dump, parse_tree(code).body))


def _head(body: Sequence[ast.stmt]) -> int:
    """Return the position in a body after its docstring."""
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return int(documented and isinstance(first.value.value, str))  # type: ignore[attr-defined]


def _is_there(
    function: Function, wanted: Sequence[ast.stmt], companions: Collection[str], *, at_end: bool
) -> bool:
    body = function.body
    size = len(wanted)
    if at_end:
        positions = range(len(body) - size, -1, -1)
    else:
        positions = range(_head(body), len(body) - size + 1)
    for position in positions:
        if all(map(equal, wanted, body[position : position + size])):
            return True
        beside = body[position + size - 1] if at_end else body[position]
        if not any(ast.dump(beside) in companion for companion in companions):
            return False
    return False


def _prepend(file: PythonFile, function: Function, code: str) -> Splice:
    position = _head(function.body)
    if position == len(function.body):  # nothing but a docstring
        return _append(file, function, code)
    follower = function.body[position]
    line = first_line(follower)
    start = file.source.starts[line - 1]
    if line == follower.lineno and file.source.text[start : file.start(follower)].strip():
        return _on_one_line(file, function, file.start(follower), code)
    return Splice(start, start, _laid_out(file, _indent(file, line), code, line))


def _append(file: PythonFile, function: Function, code: str) -> Splice:
    last = function.body[-1]
    assert last.end_lineno is not None
    first = function.body[0]
    start = file.source.starts[first.lineno - 1]
    opening = file.source.text[start : file.start(first)]
    if (
        opening.strip()
        and first.lineno == function.body[-1].lineno
        and first_line(first) == first.lineno
    ):
        # `def f(): a; b`: the body has no line of its own, so it gets one.
        newline = file.source.newline_near(function.lineno)
        indent = _indent(file, function.lineno) + _step(file)
        head_end = file.start(first)
        gap = len(opening) - len(opening.rstrip(" \t\f"))
        body_end = file.source.starts[last.end_lineno]
        body = file.source.text[head_end:body_end].rstrip("\r\n")
        laid = _laid_out(file, indent, code, last.end_lineno)
        tail = file.source.text[head_end + len(body) : body_end]
        text = f"{newline}{indent}{body}{newline}{laid}"
        return Splice(head_end - gap, body_end, text if tail else text.rstrip("\r\n"))
    line = last.end_lineno
    end = file.source.starts[line]
    laid = _laid_out(file, _indent(file, first_line(first)), code, line)
    if not file.source.line(line).endswith(("\r", "\n")):
        newline = file.source.newline_near(line)
        laid = newline + laid.rstrip("\r\n")
    return Splice(end, end, laid)


def _on_one_line(file: PythonFile, function: Function, start: int, code: str) -> Splice:
    """Return the splice that puts `code` before a statement that shares its line with another."""
    before = file.source.text[:start]
    gap = len(before) - len(before.rstrip(" \t\f"))
    line = file.source.line_at(start)
    first = function.body[0]
    alone = not file.source.text[file.source.starts[first.lineno - 1] : file.start(first)].strip()
    indent = _indent(file, first.lineno) if alone else _indent(file, function.lineno) + _step(file)
    newline = file.source.newline_near(line)
    return Splice(start - gap, start, newline + _laid_out(file, indent, code, line) + indent)


def _laid_out(file: PythonFile, indent: str, code: str, line: int) -> str:
    """Return `code` indented and with the line ends of its neighbours, each line ended."""
    newline = file.source.newline_near(line)
    lines = textwrap.dedent(code).strip("\n").split("\n")
    return "".join((indent + line if line.strip() else "") + newline for line in lines)


def _indent(file: PythonFile, line: int) -> str:
    text = file.source.line(line)
    return text[: len(text) - len(text.lstrip(" \t\f"))].replace("\f", "")


def _step(file: PythonFile) -> str:
    """Return one step of the file's own indentation."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If):
            outer, inner = _indent(file, node.lineno), _indent(file, first_line(node.body[0]))
            if inner.startswith(outer) and inner != outer:
                return inner[len(outer) :]
    return "    "
